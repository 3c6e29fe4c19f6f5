import { once } from "node:events";
import { Agent, request } from "node:http";
import type { TraceSegment } from "#core/tracing";
import { segmentsOf } from "./flows.ts";

/* What two agents deliver, in a process of its own. argv: URL of the API, seconds. Everything is made before it is sent. */

const [url = "", seconds = "10"] = process.argv.slice(2);
const SEGMENTS = 100;
/** More than can be taken in the time. */
const FLOWS_PER_SECOND = 6_000;
const WARM_UP_BATCHES = 20;

const agent = new Agent({ keepAlive: true, maxSockets: 8 });
const target = new URL("/midonet-api/trace-segments", url);

interface Delivery {
  readonly body: Buffer;
  readonly steps: number;
  readonly segments: number;
}

function deliveriesOf(segments: readonly TraceSegment[]): Delivery[] {
  const made: Delivery[] = [];
  for (let i = 0; i < segments.length; i += SEGMENTS) {
    const some = segments.slice(i, i + SEGMENTS);
    const body = { hostId: some[0]?.hostId, bootId: "b", sequence: i / SEGMENTS + 1, segments: some, lost: [] };
    const steps = some.reduce((sum, s) => sum + s.steps.length, 0);
    made.push({ body: Buffer.from(JSON.stringify(body)), steps, segments: some.length });
  }
  return made;
}

async function send({ body }: Delivery): Promise<void> {
  const headers = { "content-type": "application/json", "content-length": body.length };
  const sent = request(target, { method: "POST", agent, headers });
  sent.end(body);
  const [response] = (await once(sent, "response")) as [import("node:http").IncomingMessage];
  let text = "";
  for await (const chunk of response) text += String(chunk);
  if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${text}`);
}

const flows = Math.ceil(Number(seconds) * FLOWS_PER_SECOND);
const now = Date.now();
const hosts: [TraceSegment[], TraceSegment[]] = [[], []];
for (let n = 0; n < flows; n++) {
  const [ingress, egress] = segmentsOf(n, now + n / 10);
  if (ingress !== undefined) hosts[0].push(ingress);
  if (egress !== undefined) hosts[1].push(egress);
}
const queues = hosts.map(deliveriesOf);
hosts[0].length = 0;
hosts[1].length = 0;

const total = { steps: 0, segments: 0 };
async function pump(queue: Delivery[], until: () => boolean): Promise<void> {
  // Two deliveries of one host are under way at a time.
  await Promise.all(
    [0, 1].map(async () => {
      while (!until()) {
        const next = queue.shift();
        if (next === undefined) return;
        await send(next);
        total.steps += next.steps;
        total.segments += next.segments;
      }
    }),
  );
}

let batches = 0;
await Promise.all(queues.map((queue) => pump(queue, () => ++batches > WARM_UP_BATCHES)));
async function measured(): Promise<void> {
  total.steps = 0;
  total.segments = 0;
  const end = performance.now() + Number(seconds) * 1_000;
  await Promise.all(queues.map((queue) => pump(queue, () => performance.now() > end)));
  process.send?.({ ...total, flows: Math.round((total.segments * 5) / 9) });
}
process.on("message", () => void measured());
process.send?.("warm");
process.on("disconnect", () => process.exit());
