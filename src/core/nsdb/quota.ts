import { MidotraceError } from "#core/base";
import { TRACE } from "./kinds.ts";
import { decode } from "./codec.ts";
import { type Ctx, pathOf } from "./objects.ts";
import { tenantTracesPath } from "./paths.ts";
import { tracesOfTenant } from "./tenant-index.ts";

/** What a tenant may have at most. Null: any number. */
export interface TraceQuota {
  readonly traces: number | null;
  readonly enabledTraces: number | null;
}

export const NO_QUOTA: TraceQuota = { traces: null, enabledTraces: null };

/**
 * Counts the tenant's requests as they are after this transaction. Two transactions that count meet at the directory of the
 * tenant's requests, at whatever server: one of them counts again.
 * @throws MidotraceError LIMIT_EXCEEDED naming limit and value.
 */
export async function needRoom(c: Ctx, tenant: string, quota: TraceQuota): Promise<void> {
  if (quota.traces === null && quota.enabledTraces === null) return;
  const ids = await tracesOfTenant(c, tenant);
  const says = (limit: number, what: string, option: string): MidotraceError =>
    new MidotraceError(
      "LIMIT_EXCEEDED",
      `this tenant has ${limit} ${what} already, and may have no more (--${option} of the server)`,
    );
  if (quota.traces !== null && ids.length > quota.traces) throw says(quota.traces, "trace requests", "tenant-traces");
  if (quota.enabledTraces !== null) {
    const paths = ids.map((id) => pathOf(TRACE, id));
    const texts = await c.tx.peekMany(paths);
    const isEnabled = (text: string | null, i: number): boolean =>
      text !== null && decode(TRACE.read, text, paths[i] ?? "").enabledRule !== null;
    const enabled = texts.filter(isEnabled).length;
    if (enabled > quota.enabledTraces)
      throw says(quota.enabledTraces, "enabled trace requests", "tenant-enabled-traces");
  }
  await c.tx.touch(tenantTracesPath(tenant));
}
