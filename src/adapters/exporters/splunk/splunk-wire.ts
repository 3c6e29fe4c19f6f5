import type { Random, Scheduler } from "#core/base";
import type { ExportRecord } from "#core/exporting";
import { ALL_TAKEN, type ExportWire, type Outcome } from "../courier/wire.ts";
import { HttpClient, type HttpReply } from "../http-client.ts";
import { choiceOf, secretOf, type Target, wrong } from "../target.ts";
import { ackOf, hecEvent, hecOutcome } from "./hec.ts";

/** Between two questions whether the indexers have a batch, ms; doubled at each further one. */
const FIRST_ASK_MS = 250;
const LONGEST_ASK_MS = 10_000;
/** So long the collector has for one answer, ms; the indexers have longer. */
const ANSWER_MS = 30_000;
/** Indexers that have not acknowledged by then have lost the batch: Splunk's own advice, ms. */
export const ACK_MS = 300_000;

/** Splunk's HTTP Event Collector, by default with indexer acknowledgement. */
export class SplunkWire implements ExportWire {
  /** Indexers take seconds to acknowledge: others go meanwhile. */
  readonly parallel = 8;
  private readonly http: HttpClient;
  private readonly scheduler: Scheduler;
  private readonly index: string | null;
  private readonly channel: string | null;

  /** @throws MidotraceError USAGE */
  constructor(
    target: Target,
    parts: {
      readonly scheduler: Scheduler;
      readonly random: Random;
      readonly env: Readonly<Record<string, string | undefined>>;
    },
  ) {
    const token = secretOf(target, "token-env", parts.env) ?? (target.user === "" ? target.password : target.user);
    if (token === "") throw wrong("splunk needs a token: token-env=VARIABLE, or splunk://TOKEN@HOST");
    if (target.path !== "") throw wrong("splunk takes no path: an index is said by index=NAME");
    this.index = target.parameter("index");
    this.channel = choiceOf(target, "ack", ["true", "false"]) === "true" ? parts.random.uuid() : null;
    this.scheduler = parts.scheduler;
    const channel = this.channel === null ? {} : { "x-splunk-request-channel": this.channel };
    this.http = new HttpClient(target, {
      authorization: `Splunk ${token}`,
      "content-type": "application/json",
      ...channel,
    });
  }

  async open(): Promise<void> {
    // Nothing is prepared: the token says where events go.
  }

  async send(records: readonly ExportRecord[], signal: AbortSignal): Promise<Outcome> {
    const body = records.map((r) => hecEvent(r, this.index)).join("\n");
    const outcome = hecOutcome(await this.post("/services/collector/event", body, signal), records.length);
    if ("kind" in outcome) return outcome;
    // A token without acknowledgement gives no id: then the collector's word counts.
    if (this.channel !== null && outcome.ackId !== null) await this.acknowledged(outcome.ackId, signal);
    return ALL_TAKEN;
  }

  async close(): Promise<void> {
    this.http.close();
  }

  /** Resolves when the indexers have it. @throws the reason of the signal, which ends the waiting. */
  private async acknowledged(ackId: number, signal: AbortSignal): Promise<void> {
    const question = JSON.stringify({ acks: [ackId] });
    for (let pauseMs = FIRST_ASK_MS; ; pauseMs = Math.min(LONGEST_ASK_MS, pauseMs * 2)) {
      await this.pause(pauseMs, signal);
      // A collector that does not answer this question now may answer it later.
      const reply = await this.post("/services/collector/ack", question, signal).catch((error: unknown) => {
        if (signal.aborted) throw error;
        return null;
      });
      if (reply !== null && ackOf(reply, ackId) === true) return;
    }
  }

  private async post(path: string, body: string, signal: AbortSignal): Promise<HttpReply> {
    const late = new AbortController();
    const timer = this.scheduler.after(ANSWER_MS, () => late.abort(new Error(`no answer in ${ANSWER_MS} ms`)));
    try {
      return await this.http.send("POST", path, {}, body, AbortSignal.any([signal, late.signal]));
    } finally {
      timer.cancel();
    }
  }

  private pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        timer.cancel();
        reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
      };
      const timer = this.scheduler.after(ms, () => {
        signal.removeEventListener("abort", aborted);
        resolve();
      });
      signal.addEventListener("abort", aborted, { once: true });
      if (signal.aborted) aborted();
    });
  }
}
