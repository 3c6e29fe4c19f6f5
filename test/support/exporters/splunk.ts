import type { IncomingMessage, ServerResponse } from "node:http";
import { isUuid } from "#core/base";
import { HalfHearted, HttpReceiver, type Mood, nothingYet, type Receiver, reply, slowly } from "./receiver.ts";

type Json = Readonly<Record<string, unknown>>;

export const TOKEN = "b4e3c5a0-0000-4000-8000-00000000cafe";
const KEYS = new Set(["time", "host", "source", "sourcetype", "index", "event", "fields"]);

interface Channel {
  next: number;
  /** Batches that the indexers have. */
  readonly done: Set<number>;
  readonly asked: Map<number, number>;
}

/**
 * Splunk's HTTP Event Collector as documented: a token, a channel, JSON objects one behind the other with the keys that it
 * knows, flat indexed fields, codes 0 to 15; with acknowledgement, ids that are told true once.
 */
export class SplunkReceiver implements Receiver {
  readonly got = nothingYet();
  readonly moods: readonly Mood[] = ["well", "busy", "half", "refusing", "silent", "slow"];
  mood: Mood = "well";
  /** The token has acknowledgement. */
  acknowledges = true;
  /** Batches that the indexers lose: their ids are never acknowledged. */
  loseBatches = 0;
  readonly events: Json[] = [];
  private readonly channels = new Map<string, Channel>();
  private readonly half = new HalfHearted();
  private readonly http = new HttpReceiver((q, body, a) => void this.answer(q, body.toString("utf8"), a));

  start = (): Promise<void> => this.http.start();
  stop = (): Promise<void> => this.http.stop();
  url = (): string => `splunk://${TOKEN}@127.0.0.1:${this.http.port}`;

  private async answer(request: IncomingMessage, body: string, response: ServerResponse): Promise<void> {
    if (this.mood === "silent") return;
    if (this.mood === "slow") await slowly();
    const say = (status: number, code: number, text: string, more: object = {}): void =>
      reply(response, status, { text, code, ...more });
    if (request.headers.authorization !== `Splunk ${TOKEN}`) return say(403, 4, "Invalid token");
    if (request.method !== "POST") return say(405, 404, "The requested URL was not found on this server.");
    const channel = String(request.headers["x-splunk-request-channel"] ?? "");
    if (this.acknowledges && channel === "") return say(400, 10, "Data channel is missing");
    if (this.acknowledges && !isUuid(channel)) return say(400, 11, "Invalid data channel");
    const known = this.channels.get(channel) ?? { next: 0, done: new Set<number>(), asked: new Map<number, number>() };
    this.channels.set(channel, known);
    if (request.url === "/services/collector/ack") return this.ack(known, body, response);
    if (request.url !== "/services/collector/event") {
      this.got.faults.push(`${request.url}`);
      return say(404, 404, "The requested URL was not found on this server.");
    }
    if (this.mood === "busy") return say(503, 9, "Server is busy");
    if (body === "") return say(400, 5, "No data");
    const events = objectsOf(body);
    for (const [i, event] of events.entries()) {
      const wrong = faultOf(event);
      if (wrong !== null) this.got.faults.push(wrong);
      const loss = "lost" in (event["fields"] as object);
      const half = this.mood === "half" && !loss ? this.half.of(idOf(event)) : "taken";
      if (wrong !== null || this.mood === "refusing" || half === "refused")
        return say(400, 6, "Invalid data format", { "invalid-event-number": i });
      if (half === "later") return say(503, 9, "Server is busy");
    }
    const ackId = known.next++;
    if (this.loseBatches > 0) this.loseBatches--;
    else {
      for (const event of events) this.index(event);
      known.done.add(ackId);
    }
    say(200, 0, "Success", this.acknowledges ? { ackId } : {});
  }

  private ack(channel: Channel, body: string, response: ServerResponse): void {
    const { acks } = JSON.parse(body) as { readonly acks: readonly number[] };
    const told = acks.map((id) => {
      const times = (channel.asked.get(id) ?? 0) + 1;
      channel.asked.set(id, times);
      // Indexers take their time: not before the second question.
      return [String(id), times >= 2 && channel.done.delete(id)];
    });
    reply(response, 200, { acks: Object.fromEntries(told) as object });
  }

  private index(event: Json): void {
    this.events.push(event);
    this.got.texts.push(JSON.stringify(event));
    const { type: _, ...body } = event["event"] as Json;
    const count = (event["fields"] as Json)["lost"];
    if (typeof count === "number") this.got.losses.push({ count, cause: String(body["cause"]) });
    else this.got.ids.push(idOf(event));
  }
}

const idOf = (event: Json): string => String((event["event"] as Json)["id"]);

/** JSON objects one behind the other, blanks between them allowed. */
function objectsOf(text: string): Json[] {
  return text.split("\n").map((line) => JSON.parse(line) as Json);
}

function faultOf(event: Json): string | null {
  for (const key of Object.keys(event)) if (!KEYS.has(key)) return `unknown key ${key}`;
  const { time, host, source, sourcetype, event: body, fields } = event;
  if (typeof time !== "number" || !(time > 1_000_000_000 && time < 10_000_000_000)) return `time ${String(time)}`;
  if (body === undefined) return "Event field is required";
  if (typeof body !== "object" || body === null || Object.keys(body).length === 0) return "Event field cannot be blank";
  for (const text of [source, sourcetype]) if (typeof text !== "string" || text === "") return "source or sourcetype";
  if (host !== undefined && (typeof host !== "string" || host === "")) return "host";
  for (const [name, value] of Object.entries(fields as Json))
    for (const one of Array.isArray(value) ? value : [value])
      if (typeof one !== "string" && typeof one !== "number") return `Error in handling indexed fields: ${name}`;
  return null;
}
