import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { base64Encode } from "#core/base";
import { capturedPackets, packetCapture } from "#core/exporting";
import { buildUdp, decodeCapture, type Ipv4, type Mac } from "#core/packets";
import { assembleFlowTrace, type FlowTrace, type PacketBytes, type Viewer } from "#core/tracing";
import { egressSegment, H2, ingressSegment, RED, START_MS } from "../../support/tracing-example.ts";

const payload = new TextEncoder().encode("the secret of the conversation");
const sent = buildUdp({
  ethSrc: 2 as Mac,
  ethDst: 4 as Mac,
  ipSrc: 0x0a00010a as Ipv4,
  ipDst: 0x0a000214 as Ipv4,
  srcPort: 4000,
  dstPort: 53,
  payload,
});
const HEADERS = sent.length - payload.length;
const BLUE = "tenant-blue";
const ADMIN: Viewer = { admin: true, tenantId: "" };
const tenant = (tenantId: string, ...roles: string[]): Viewer => ({ admin: false, tenantId, roles });

const kept = (bytes: Uint8Array): PacketBytes => ({ originalLength: sent.length, bytes: base64Encode(bytes) });

function flow(packet: PacketBytes | null = kept(sent)): FlowTrace {
  const segments = [ingressSegment({ packet }), egressSegment(H2, "h2", 1, { packet })];
  const trace = assembleFlowTrace(segments, { nowMs: START_MS });
  assert.ok(trace !== null);
  return trace;
}

describe("the packets of a flow trace", () => {
  it("are for administrators as they were kept, in causal order, with the sentence", () => {
    const [entered, left] = capturedPackets(flow(), ADMIN);
    assert.deepEqual([entered?.interface, left?.interface], ["h1/red-vm1", "h2/blue-vm2"]);
    assert.deepEqual(entered?.bytes, sent);
    assert.equal(entered?.comment.split("\n")[0], flow().why);
    assert.match(entered?.comment ?? "", /As it entered at h1, cookie 17; flow trace .*f1; trace requests .*e1$/);
    assert.match(left?.comment ?? "", /As it left at h2, cookie 4;/);
  });

  it("are for the tenant of the device that they entered by, and say nothing of hosts", () => {
    const red = capturedPackets(flow(), tenant(RED, "tenant_admin"));
    assert.deepEqual(
      red.map((p) => p.interface),
      ["host 1/red-vm1"],
    );
    const blue = capturedPackets(flow(), tenant(BLUE, "tenant_admin"));
    // At blue's port there would be one only if that is on another host than red's: that is not blue's to know.
    assert.deepEqual(blue, []);
    assert.doesNotMatch(JSON.stringify([red, blue]), /h1|h2|cookie/);
    for (const nobody of [tenant("tenant-provider", "tenant_admin"), tenant("", "tenant_admin"), tenant("x")])
      assert.deepEqual(capturedPackets(flow(), nobody), []);
  });

  it("carry payload only for who administers the tenant of the device that they entered by", () => {
    const bytes = (viewer: Viewer): number | undefined => capturedPackets(flow(), viewer)[0]?.bytes.length;
    assert.equal(bytes(tenant(RED, "tenant_admin")), sent.length);
    assert.equal(bytes(tenant(RED, "tenant_user")), HEADERS);
    assert.equal(bytes(tenant(RED)), HEADERS);
  });

  it("are none where nobody kept them", () => {
    assert.deepEqual(capturedPackets(flow(null), ADMIN), []);
    assert.deepEqual(decodeCapture(packetCapture([])), { frames: [], problem: null });
  });

  it("are a capture file with the length that each had on the wire", () => {
    const cut = capturedPackets(flow(), tenant(RED));
    const { frames, problem } = decodeCapture(packetCapture(cut));
    assert.equal(problem, null);
    assert.deepEqual(
      frames.map((f) => [f.bytes.length, f.originalLength, f.timestampNs]),
      [[HEADERS, sent.length, BigInt(START_MS) * 1_000_000n]],
    );
  });
});
