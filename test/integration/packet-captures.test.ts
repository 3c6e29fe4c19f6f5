import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { hasCommand, run } from "#adapters/testbed";
import { type CapturedPacket, capturedPackets, packetCapture } from "#core/exporting";
import { headerBytes } from "#core/packets";
import type { FlowTrace } from "#core/tracing";
import type { Cluster } from "../support/cluster.ts";
import { routedPlan } from "../support/cluster.ts";
import { GATEWAY, IPV4, onCluster, routerOf, send, SILENT, udpFrom } from "../support/cluster-kit.ts";
import { unlessThere } from "../support/zookeeper-kit.ts";

const ADMIN = { admin: true, tenantId: "" };
const missing = hasCommand("tshark") ? null : "tshark not found: apt-get install tshark";

/** A packet as tshark reads it from a file. */
interface Seen {
  readonly hex: string;
  readonly comment: string;
  readonly interface: string;
  readonly length: number;
  readonly seconds: string;
}

async function tshark(packets: readonly CapturedPacket[], directory: string): Promise<Seen[]> {
  const file = join(directory, "packets.pcapng");
  writeFileSync(file, packetCapture(packets));
  const { stdout, stderr } = await run("tshark", ["-n", "-r", file, "-T", "json", "-x"]);
  assert.doesNotMatch(stderr, /cut short|malformed|isn't a capture/i);
  const read = JSON.parse(stdout) as { _source: { layers: Readonly<Record<string, unknown>> } }[];
  return read.map(({ _source: { layers } }) => {
    const frame = layers["frame"] as Readonly<Record<string, unknown>>;
    const id = (frame["frame.interface_id_tree"] ?? {}) as Readonly<Record<string, string>>;
    const comment = layers["pkt_comment"] ?? layers["frame.comment"] ?? frame["frame.comment"];
    return {
      hex: (layers["frame_raw"] as readonly string[])[0] ?? "",
      comment: typeof comment === "string" ? comment : String((comment as Record<string, unknown>)?.["frame.comment"]),
      interface: id["frame.interface_name"] ?? "",
      length: Number(frame["frame.len"]),
      seconds: String(frame["frame.time_epoch"]),
    };
  });
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("packet captures, as tshark reads them", { skip: unlessThere(missing), timeout: 60_000 }, () => {
  let directory = "";
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "midotrace-pcapng-"));
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  async function traced(captureBytes: number, work: (c: Cluster, flow: FlowTrace, sent: Uint8Array) => Promise<void>) {
    await onCluster({ ...routedPlan(), captureBytes }, async (c) => {
      await c.trace("ROUTER", await routerOf(c), IPV4);
      const payload = new TextEncoder().encode("payload that not everybody may read");
      const frame = udpFrom(c, "red-1", GATEWAY, { sport: 4000, dport: SILENT, payload });
      await send(c, frame);
      const [flow] = c.flowTraces();
      assert.ok(flow !== undefined);
      await work(c, flow, frame);
    });
  }

  it("hold what was injected and what was delivered, byte by byte, with the sentence", async () => {
    await traced(65_535, async (c, flow, sent) => {
      const seen = await tshark(capturedPackets(flow, ADMIN), directory);
      const delivered = c.got("red-2").findLast((f) => f.length === sent.length);
      assert.ok(delivered !== undefined);
      assert.deepEqual(
        seen.map((p) => [p.interface, p.hex, p.length]),
        [
          ["h1/web/red-1", hex(sent), sent.length],
          ["h2/db/red-2", hex(delivered), sent.length],
        ],
      );
      assert.notEqual(hex(sent), hex(delivered), "the router rewrote it");
      for (const [i, p] of seen.entries()) {
        assert.equal(p.comment, capturedPackets(flow, ADMIN)[i]?.comment);
        assert.ok(p.comment.startsWith(`${flow.why}\n`), p.comment);
      }
      assert.equal(seen[0]?.seconds, `${(flow.startedAtMs / 1_000).toFixed(3)}000000`);
    });
  });

  it("hold headers alone where nobody asked for more, and the length that the packet had", async () => {
    await traced(0, async (_c, flow, sent) => {
      const seen = await tshark(capturedPackets(flow, ADMIN), directory);
      assert.deepEqual(
        seen.map((p) => [p.hex.length / 2, p.length]),
        [
          [headerBytes(sent), sent.length],
          [headerBytes(sent), sent.length],
        ],
      );
      assert.equal(seen[0]?.hex, hex(sent.subarray(0, headerBytes(sent))));
    });
  });

  it("may be empty", async () => {
    assert.deepEqual(await tshark([], directory), []);
  });
});
