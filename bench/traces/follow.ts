import { fileURLToPath } from "node:url";
import { setTimeout } from "node:timers/promises";
import { readYaml } from "#apps/cli/options";
import { Lab } from "#apps/lab";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { buildUdp, type Ipv4, type Mac, parseIpv4, parseMac } from "#core/packets";

const EXAMPLE = fileURLToPath(new URL("../../examples/example.yaml", import.meta.url));

/** From a packet's entering a port of the lab until its flow stands in the event stream of its request, ms each. */
export async function followLatencies(flows: number): Promise<number[]> {
  const lab = new Lab({
    storeUrl: "memory:",
    listen: { host: "127.0.0.1", port: 0 },
    topology: await readYaml(EXAMPLE),
    vms: { vms: [], traffic: [] },
    traffic: null,
    traceLog: null,
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    log: () => undefined,
    version: "bench",
  });
  await lab.start();
  try {
    const port = lab.ports.find((p) => p.name === "red-web/red-1");
    const bridge = lab.records?.bridges.find((b) => b.name === "red-web");
    if (port === undefined || bridge === undefined) throw new Error("the example has a port red-web/red-1");
    const id = systemRandom.uuid();
    const made = await fetch(`${lab.url}/midonet-api/traces`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        id,
        name: "bench",
        deviceType: "BRIDGE",
        deviceId: bridge.id,
        condition: "udp and dst port 9",
        limit: 1_000_000,
        enabled: true,
      }),
    });
    if (made.status !== 201) throw new Error(`${made.status} ${await made.text()}`);
    const stream = new AbortController();
    const events = await fetch(`${lab.url}/midonet-api/traces/${id}/events`, { signal: stream.signal });
    const arrived = seen(events.body as ReadableStream<Uint8Array>);
    await setTimeout(200);
    const took: number[] = [];
    for (let n = 0; n < flows; n++) {
      const srcPort = 20_000 + n;
      const frame = buildUdp({
        ethSrc: parseMac("02:00:00:0a:01:0a") as Mac,
        ethDst: parseMac("02:00:00:0a:01:99") as Mac,
        ipSrc: parseIpv4("10.0.1.10") as Ipv4,
        ipDst: parseIpv4("10.0.1.99") as Ipv4,
        srcPort,
        dstPort: 9,
        payload: new Uint8Array(8),
      });
      const start = performance.now();
      port.wire.send(frame);
      await arrived(srcPort);
      took.push(performance.now() - start);
      // One at a time, at no particular moment of any timer.
      await setTimeout(3 + 17 * systemRandom.next());
    }
    stream.abort();
    return took;
  } finally {
    await lab.stop();
  }
}

/** Resolves when the stream has told of the flow from this L4 port. */
function seen(body: ReadableStream<Uint8Array>): (srcPort: number) => Promise<void> {
  const waiting = new Map<number, () => void>();
  const read = async (): Promise<void> => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of body) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const port = /"srcPort":(\d+)/.exec(text.slice(0, end))?.[1];
        text = text.slice(end + 2);
        const wake = waiting.get(Number(port));
        waiting.delete(Number(port));
        wake?.();
      }
    }
  };
  read().catch(() => undefined);
  return (srcPort) => new Promise((resolve) => void waiting.set(srcPort, resolve));
}
