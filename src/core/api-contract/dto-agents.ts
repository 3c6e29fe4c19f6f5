import { type AgentStatus, TRACE_DETAILS } from "#core/tracing";
import * as z from "zod";
import { keysOf } from "./segment-steps.ts";

/** One host's agent. What it has not told this server is null. */
export const agentAnswer = z.object({
  hostId: z.string(),
  hostName: z.string(),
  alive: z.boolean().describe("its session with the store lives"),
  reportedAtMs: z.nullable(z.number()).describe("when this server was told something last, by its own clock"),
  clockOffsetMs: z.nullable(z.number()).describe("how far the host's clock is ahead of this server's"),
  tracesArmed: z.nullable(z.int()),
  budget: z.nullable(
    z.object({
      level: z.enum(keysOf(TRACE_DETAILS)).describe("detail that the host's event budget allows"),
      eventsPerSecond: z.nullable(z.int()).describe("null: without bound"),
    }),
  ),
  spool: z.nullable(z.object({ segments: z.int(), bytes: z.int() })),
  lost: z.record(z.string(), z.int()).describe("reports that never come, by cause, since the agent's start"),
});
export type AgentDto = z.output<typeof agentAnswer>;

export interface HeardOfAgent {
  readonly reportedAtMs: number;
  readonly status: AgentStatus | null;
}

export function agentDto(
  host: Pick<AgentDto, "hostId" | "hostName" | "alive">,
  heard: HeardOfAgent | null,
  clockOffsetMs: number | null,
): AgentDto {
  const status = heard?.status ?? null;
  return {
    ...host,
    reportedAtMs: heard?.reportedAtMs ?? null,
    clockOffsetMs,
    tracesArmed: status?.tracesArmed ?? null,
    budget: status?.budget ?? null,
    spool: status?.spool ?? null,
    lost: { ...status?.lost },
  };
}
