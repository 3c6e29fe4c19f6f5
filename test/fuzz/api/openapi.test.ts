import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Rig, SMALL_NETWORK, startRig } from "../../integration/api-support.ts";
import { type MadeRequest, type OpenApi, RequestMaker } from "../../support/api-requests.ts";
import { Dice } from "../../support/dice.ts";

/*
 * Requests from the OpenAPI document. MIDOTRACE_FUZZ_ITERATIONS (done-when: 100,000), MIDOTRACE_FUZZ_SEED.
 */
const ITERATIONS = Number(process.env["MIDOTRACE_FUZZ_ITERATIONS"] ?? 3_000);
const SEED = Number(process.env["MIDOTRACE_FUZZ_SEED"] ?? 1);
const AT_ONCE = 16;
/** Between looks at the memory: all that was made is deleted then. */
const ROUND = 2_500;
/** An answer that takes longer hangs. */
const HANG_MS = 20_000;
const MAX_GROWTH_BYTES = 32 * 1024 * 1024;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

interface Got {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: Buffer;
}

describe("the API under requests that its document allows, nearly allows and forbids", () => {
  let rig: Rig;
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  before(async () => {
    rig = await startRig();
  });
  after(async () => {
    agent.destroy();
    await rig.stop();
  });

  const send = ({ method, path, headers, body }: MadeRequest): Promise<Got> =>
    new Promise((resolve, reject) => {
      const length = body === null ? {} : { "content-length": String(body.length) };
      const req = request(
        {
          agent,
          host: "127.0.0.1",
          port: new URL(rig.url).port,
          method,
          path,
          headers: { ...headers, ...length },
          timeout: HANG_MS,
          setDefaultHeaders: false,
        },
        (res) => {
          const { statusCode: status = 0, headers: got } = res;
          const { location } = got;
          if (status === 200 && got["content-type"] === "text/event-stream") {
            res.destroy();
            resolve({ status, location, body: Buffer.alloc(0) });
            return;
          }
          const chunks: Buffer[] = [];
          res.on("data", (chunk: Buffer) => chunks.push(chunk));
          res.on("error", reject);
          res.on("end", () => resolve({ status, location, body: Buffer.concat(chunks) }));
        },
      );
      req.setHeader("host", "127.0.0.1");
      req.on("timeout", () => req.destroy(new Error("no answer")));
      req.on("error", reject);
      req.end(body ?? undefined);
    });

  it("answers each without a defect, in time, and says which field is wrong", { timeout: 3_600_000 }, async () => {
    const dice = new Dice(SEED);
    const document = (await rig.ask("GET", "/openapi.json")).json as OpenApi;
    const maker = new RequestMaker(document, dice);
    const met = { statuses: new Map<number, number>(), operations: new Set<string>() };
    const heap: number[] = [];
    /** What is wrong, once for each operation and status. */
    const found = new Map<string, string>();
    const one = async (): Promise<void> => {
      const made = maker.next();
      const said = `${made.method} ${made.path} ${JSON.stringify(made.headers)} ${made.body?.toString("latin1").slice(0, 300)}`;
      const got = await send(made).catch((error: unknown) => assert.fail(`${String(error)}: ${said}`));
      met.statuses.set(got.status, (met.statuses.get(got.status) ?? 0) + 1);
      met.operations.add(made.operationId);
      if (got.location !== undefined) maker.learn(decodeURIComponent(got.location.split("/").at(-1) ?? ""));
      if (made.asDeclared && !maker.declares(made, got.status))
        found.set(`${made.operationId} ${got.status}`, `${got.status} is not among the answers of ${said}`);
      try {
        if (got.status >= 400 && made.method !== "HEAD") checkRefusal(got, said);
        else assert.ok(got.status < 500, `${got.status}: ${said}`);
      } catch (error) {
        found.set(`${made.operationId} ${got.status}`, String(error));
      }
    };
    for (let done = 0; done < ITERATIONS; done += ROUND) {
      await plant(maker);
      const count = Math.min(ROUND, ITERATIONS - done);
      let left = count;
      const worker = async (): Promise<void> => {
        while (left-- > 0) await one();
      };
      await Promise.all(Array.from({ length: AT_ONCE }, worker));
      await clear();
      collectGarbage();
      heap.push(process.memoryUsage().heapUsed);
    }
    assert.deepEqual([...found.values()], []);
    // The first rounds fill caches that are bounded.
    const settled = heap[Math.min(2, heap.length - 1)] ?? 0;
    const grown = (heap.at(-1) ?? 0) - settled;
    console.log(
      JSON.stringify({
        requests: ITERATIONS,
        statuses: Object.fromEntries([...met.statuses].sort(([a], [b]) => a - b)),
        operations: met.operations.size,
        heapMiB: heap.map((h) => Math.round(h / 1024 / 1024)),
      }),
    );
    assert.ok(grown < MAX_GROWTH_BYTES, `the heap grew by ${grown} bytes: ${heap.join(" ")}`);
    assert.ok(met.operations.size > 100 && (met.statuses.get(201) ?? 0) > 0 && (met.statuses.get(400) ?? 0) > 0);
    assert.deepEqual(
      rig.log.filter((line) => line.includes("a request failed")),
      [],
    );
  });

  async function plant(maker: RequestMaker): Promise<void> {
    await writable();
    const applied = await rig.ask("POST", "/topology", { body: SMALL_NETWORK });
    assert.equal(applied.status, 200, applied.text);
    for (const list of ["/bridges", "/routers", "/ports", "/chains", "/hosts", "/tunnel_zones"])
      for (const o of (await rig.ask("GET", list)).json as { readonly id: string }[]) maker.learn(o.id);
  }

  /** Somebody may have set the system to read only. */
  const writable = (): Promise<unknown> =>
    rig.ask("PUT", "/system_state", { body: { state: "ACTIVE", availability: "READWRITE" } });

  async function clear(): Promise<void> {
    await writable();
    for (const list of [
      "/traces",
      "/ports",
      "/bridges",
      "/routers",
      "/chains",
      "/port_groups",
      "/ip_addr_groups",
      "/tunnel_zones",
      "/hosts",
    ])
      for (const o of (await rig.ask("GET", list)).json as { readonly uri: string }[])
        await rig.ask("DELETE", new URL(o.uri).pathname.replace(/^\/midonet-api/, ""));
  }

  it("answers what is no request, and goes on", async () => {
    const dice = new Dice(SEED + 1);
    const good =
      'POST /midonet-api/bridges HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{"name":"x"}';
    for (let n = 0; n < Math.min(500, ITERATIONS); n++) {
      const bytes = Buffer.from(good, "latin1");
      for (let i = 0; i <= dice.below(4); i++) bytes[dice.below(bytes.length)] = dice.below(256);
      const sent = dice.one(3) ? bytes.subarray(0, dice.below(bytes.length)) : bytes;
      const text = await rawly(rig.url, sent);
      assert.match(text, /^(HTTP\/1\.1 (1|2|4)\d\d |$)/, JSON.stringify(sent.toString("latin1")));
    }
    assert.equal((await rig.ask("GET", "/../healthz")).status < 500, true);
  });
});

/** Sends the bytes and says no more; what came back. */
function rawly(url: string, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(text));
    socket.end(bytes);
  });
}

function checkRefusal({ status, body }: Got, said: string): void {
  let answer: {
    readonly message?: unknown;
    readonly error?: unknown;
    readonly code?: unknown;
    readonly violations?: readonly { readonly property: string; readonly message: string }[];
  };
  try {
    answer = JSON.parse(body.toString()) as typeof answer;
  } catch {
    assert.fail(`${status} without a JSON body (${body.toString().slice(0, 200)}): ${said}`);
  }
  const { message, error, code, violations } = answer;
  assert.ok(status < 500, `${status} ${body.toString()}: ${said}`);
  assert.ok(code === status && typeof message === "string" && message.length > 5, `${body.toString()}: ${said}`);
  if (error !== "VALIDATION") return;
  const fields = violations ?? [];
  const whole = /^the (body|query) is not valid/.test(message);
  assert.ok(
    fields.length > 0 && fields.every((v) => v.message !== "" && (v.property !== "" || whole)),
    `no field is named: ${body.toString()}: ${said}`,
  );
}
