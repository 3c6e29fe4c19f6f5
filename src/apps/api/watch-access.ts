import { type Cancel, MidotraceError, type Scheduler } from "#core/base";

/** How often it is looked whether who listens to a stream still may. With what a provider may remember, below 30 s. */
export const ACCESS_CHECK_MS = 8_000;

/**
 * Ends a stream whose listener may not listen any more: the token has ended or was revoked, a role is gone, the object is
 * somebody else's, or nobody can find that out.
 * @param allowed throws what keeps the listener out now.
 * @param end is told why.
 */
export function watchAccess(scheduler: Scheduler, allowed: () => Promise<void>, end: (reason: string) => void): Cancel {
  let over = false;
  let timer: Cancel | null = null;
  const next = (): void => {
    if (!over) timer = scheduler.after(ACCESS_CHECK_MS, () => void look());
  };
  const look = async (): Promise<void> => {
    const reason = await reasonAgainst(allowed);
    if (over) return;
    if (reason === null) next();
    else end(reason);
  };
  next();
  return {
    cancel: () => {
      over = true;
      timer?.cancel();
    },
  };
}

/** Null: nothing speaks against it. That the store is away does not either: whose the object is was known before. */
async function reasonAgainst(allowed: () => Promise<void>): Promise<string | null> {
  try {
    await allowed();
    return null;
  } catch (error) {
    const code = error instanceof MidotraceError ? error.code : "INTERNAL";
    if (code === "STORE_UNAVAILABLE") return null;
    if (code === "UNAUTHENTICATED") return "signed-out";
    return code === "AUTH_UNAVAILABLE" ? "auth-unavailable" : "forbidden";
  }
}
