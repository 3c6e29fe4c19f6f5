import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError } from "../api/client.ts";

export interface Resource<T> {
  /** Undefined until the first answer; kept while later ones fail. */
  readonly value: T | undefined;
  readonly error: ApiError | null;
  readonly loading: boolean;
  /** When `value` was read; what is shown is as old as this. */
  readonly readAtMs: number;
  readonly reload: () => void;
}

/**
 * Reads, and reads again every `pollMs` while the page is seen. `key` says what is read: another key forgets the value.
 */
export function useResource<T>(key: string, read: (signal: AbortSignal) => Promise<T>, pollMs?: number): Resource<T> {
  const [state, setState] = useState<{
    key: string;
    value?: T;
    error: ApiError | null;
    readAtMs: number;
    loading: boolean;
  }>({ key, error: null, readAtMs: 0, loading: true });
  const [round, setRound] = useState(0);
  const reader = useRef(read);
  reader.current = read;
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const once = async (): Promise<void> => {
      try {
        const value = await reader.current(abort.signal);
        if (!abort.signal.aborted) setState({ key, value, error: null, readAtMs: Date.now(), loading: false });
      } catch (failure) {
        if (abort.signal.aborted) return;
        const error = failure instanceof ApiError ? failure : new ApiError(0, String(failure));
        setState((s) => ({ ...(s.key === key ? s : { key, readAtMs: 0 }), error, loading: false }));
      }
      if (pollMs !== undefined && !abort.signal.aborted) timer = setTimeout(next, pollMs);
    };
    const next = (): void => {
      if (document.visibilityState === "visible") void once();
      else document.addEventListener("visibilitychange", () => void once(), { once: true, signal: abort.signal });
    };
    void once();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, pollMs, round]);
  const reload = useCallback(() => setRound((n) => n + 1), []);
  const same = state.key === key;
  return {
    value: same ? state.value : undefined,
    error: same ? state.error : null,
    loading: same ? state.loading : true,
    readAtMs: state.readAtMs,
    reload,
  };
}
