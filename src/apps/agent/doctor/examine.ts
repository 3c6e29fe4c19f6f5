import type { Scheduler } from "#core/base";
import type { AgentOptionValues } from "../options.ts";
import { AGENT_CHECKS } from "./agent-checks.ts";
import { CLOCK_CHECKS } from "./clock-checks.ts";
import { type Check, Examination, type Probes } from "./examination.ts";
import { type Finding, unknown } from "./finding.ts";
import { hostIdentity, kernel, stateDirectory } from "./host-checks.ts";
import { PEER_CHECKS } from "./peer-checks.ts";
import { STORE_CHECKS } from "./store-checks.ts";
import { SWITCH_CHECKS } from "./switch-checks.ts";
import { TUNNEL_CHECKS } from "./tunnel-checks.ts";

/** In the order in which one thing rests on another; later checks use what earlier ones found out. */
export const CHECKS: readonly Check[] = [
  kernel,
  stateDirectory,
  hostIdentity,
  ...SWITCH_CHECKS,
  ...STORE_CHECKS,
  ...TUNNEL_CHECKS,
  ...PEER_CHECKS,
  ...CLOCK_CHECKS,
  ...AGENT_CHECKS,
];

export interface Examined {
  readonly options: AgentOptionValues;
  readonly probes: Probes;
  readonly scheduler: Scheduler;
  /** Called as they come. */
  readonly found: (finding: Finding) => void;
}

/** One check after the other, each with its own time limit. What one throws, or does not get done, is told as unknown. */
export async function examine(
  { options, probes, scheduler, found }: Examined,
  checks: readonly Check[] = CHECKS,
): Promise<readonly Finding[]> {
  const at = new Examination(options);
  const all: Finding[] = [];
  for (const check of checks) {
    const findings = await within(check, scheduler, check.run(at, probes)).catch((error: unknown) => [
      unknown(
        check.name,
        `${check.name} could not be checked: ${inWords(error)}`,
        "run it again; as root if it was not",
      ),
    ]);
    for (const finding of findings) found(finding);
    all.push(...findings);
  }
  return all;
}

async function within(
  { name, timeoutMs }: Check,
  scheduler: Scheduler,
  work: Promise<readonly Finding[]>,
): Promise<readonly Finding[]> {
  const { promise, resolve } = Promise.withResolvers<readonly Finding[]>();
  const timer = scheduler.after(timeoutMs, () =>
    resolve([
      unknown(
        name,
        `${name} was not done within ${timeoutMs / 1_000} s`,
        "put the lines above in order, and run it again",
      ),
    ]),
  );
  try {
    return await Promise.race([work, promise]);
  } finally {
    timer.cancel();
  }
}

const inWords = (error: unknown): string => (error instanceof Error ? error.message : String(error));
