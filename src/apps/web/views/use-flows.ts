import {
  EMPTY_LIST,
  type FlowFilter,
  type FlowListState,
  type FlowRow,
  matchesFilter,
  oldestCursor,
  readAnew,
  rowOf,
  withArrived,
  withOlder,
} from "#apps/web/model";
import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError } from "../api/client.ts";
import { follow, type LiveState } from "../api/live.ts";
import { listFlows, said } from "../api/resources.ts";

const FIRST_PAGE = 100;
const NEXT_PAGE = 200;

export interface Flows {
  readonly list: FlowListState;
  readonly live: LiveState;
  readonly loading: boolean;
  readonly error: ApiError | null;
  /** Events were lost, and the list was read anew. */
  readonly gaps: number;
  readonly loadOlder: () => void;
  readonly reload: () => void;
}

/** The flows of a trace: read once, then followed; gaps are filled by reading anew. */
export function useFlows(traceId: string, filter: FlowFilter): Flows {
  const [list, setList] = useState<FlowListState>(EMPTY_LIST);
  const [live, setLive] = useState<LiveState>("connecting");
  const [loading, setLoading] = useState(true);
  const [error, setError] = useState<ApiError | null>(null);
  const [gaps, setGaps] = useState(0);
  const [round, setRound] = useState(0);
  const abort = useRef(new AbortController());
  const older = useRef(false);
  const newest = useRef(list);
  newest.current = list;
  const key = JSON.stringify(filter);

  const failed = (failure: unknown): void => {
    setLoading(false);
    setError(failure instanceof ApiError ? failure : new ApiError(0, String(failure)));
  };

  useEffect(() => {
    const wanted = JSON.parse(key) as FlowFilter;
    const control = new AbortController();
    abort.current = control;
    const { signal } = control;
    setList(EMPTY_LIST);
    setLoading(true);
    setError(null);
    const read = async (): Promise<void> => {
      const page = await listFlows(traceId, { limit: String(FIRST_PAGE), ...said(wanted) }, signal);
      setList((s) =>
        readAnew(
          s,
          page.flows.map((f) => rowOf(f, f.cursor)),
          page.more,
        ),
      );
      setLoading(false);
      setError(null);
    };
    const readOrSay = (): void => void read().catch((e: unknown) => signal.aborted || failed(e));
    readOrSay();
    const arrived = gathered((rows) => setList((s) => withArrived(s, rows)), signal);
    const listener = {
      flows: (flows: Parameters<typeof rowOf>[0][]) =>
        arrived(flows.filter((f) => matchesFilter(f, wanted)).map((f) => rowOf(f, null, Date.now()))),
      gap: () => {
        setGaps((n) => n + 1);
        readOrSay();
      },
      state: setLive,
    };
    void follow(traceId, { ...listener, flows: (flows) => listener.flows([...flows]) }, signal);
    return () => control.abort();
  }, [traceId, key, round]);

  const loadOlder = useCallback(() => {
    const before = oldestCursor(newest.current);
    if (older.current || !newest.current.more || before === null) return;
    older.current = true;
    const { signal } = abort.current;
    const wanted = JSON.parse(key) as FlowFilter;
    listFlows(traceId, { limit: String(NEXT_PAGE), before, ...said(wanted) }, signal)
      .then((page) =>
        setList((s) =>
          withOlder(
            s,
            page.flows.map((f) => rowOf(f, f.cursor)),
            page.more,
          ),
        ),
      )
      .catch((e: unknown) => signal.aborted || failed(e))
      .finally(() => {
        older.current = false;
      });
  }, [traceId, key]);

  const reload = useCallback(() => setRound((n) => n + 1), []);
  return { list, live, loading, error, gaps, loadOlder, reload };
}

/** Hands on together what comes within one frame: a thousand flows a second are sixty changes of the page. */
function gathered(take: (rows: FlowRow[]) => void, signal: AbortSignal): (rows: readonly FlowRow[]) => void {
  let waiting: FlowRow[] = [];
  const flush = (): void => {
    const rows = waiting;
    waiting = [];
    if (!signal.aborted) take(rows);
  };
  return (rows) => {
    if (rows.length === 0) return;
    const first = waiting.length === 0;
    waiting.push(...rows);
    if (!first) return;
    // A hidden page gets no frames.
    if (document.visibilityState === "visible") requestAnimationFrame(flush);
    else setTimeout(flush, 250);
  };
}
