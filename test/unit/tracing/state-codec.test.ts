import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 as zlibCrc32 } from "node:zlib";
import * as fc from "fast-check";
import { hex, readU16, writeU16, writeU32 } from "#core/base";
import { decodeTraceState, encodeTraceState, type TraceState } from "#core/tracing";
import { id, PING, requestId, STATE, traceStates } from "../../support/tracing-samples.ts";

function decoded(frame: Uint8Array): TraceState {
  const result = decodeTraceState(frame);
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result.state;
}

function reason(frame: Uint8Array): string {
  const result = decodeTraceState(frame);
  assert.ok(!result.ok, "was accepted");
  return result.reason;
}

function one(state: TraceState = STATE): Uint8Array {
  const frames = encodeTraceState(state);
  assert.equal(frames.length, 1);
  return frames[0] as Uint8Array;
}

/** Makes lengths and checksums right again after a change of the payload. */
function reseal(frame: Uint8Array): Uint8Array {
  const end = frame.length - 4;
  writeU32(frame, end, zlibCrc32(frame.subarray(42, end)));
  writeU16(frame, 16, frame.length - 14);
  writeU16(frame, 38, frame.length - 34);
  writeU16(frame, 24, 0);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += readU16(frame, i);
  writeU16(frame, 24, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
  return frame;
}

function changed(at: number, value: number, frame: Uint8Array = one()): Uint8Array {
  const copy = frame.slice();
  copy[at] = value;
  return copy;
}

describe("trace state on the wire", () => {
  it("has these bytes", () => {
    const payload = one().slice(42, -4);
    assert.equal(
      hex(one().slice(0, 42)),
      "accaba001502accaba001501080045000081000000004011086da9fe0f01a9fe0f020b6d0b6d006d0000",
    );
    assert.equal(
      hex(payload),
      "4d445453" + // magic
        "01" + // version
        "1f" + // every field is there
        "000000000000400080000000000000a1" +
        "000000000000400080000000000000f1" +
        "0123456789abcdef" +
        "0001000005" +
        "accaba000001accaba000002" +
        "0800" +
        "04" +
        "01" +
        "00070007" +
        "0a00010a0a000214" +
        "0001000000000000400080000000000000e1",
    );
    assert.equal(hex(one().slice(-4)), zlibCrc32(payload).toString(16).padStart(8, "0"));
  });

  it("comes back as it was, for every key and any number of keys and ids", () => {
    fc.assert(
      fc.property(traceStates(30, 20), (state) => {
        assert.deepEqual(decoded(one(state)), state);
      }),
    );
  });

  it("carries packets without addresses", () => {
    const none = { networkSrc: null, networkDst: null, networkProto: null, srcPort: null, dstPort: null };
    const state = { ...STATE, key: { ...PING, etherType: 0x88cc, ...none } };
    assert.deepEqual(decoded(one(state)), state);
  });

  it("spreads what does not fit over messages that say everything together", () => {
    fc.assert(
      fc.property(traceStates(1500, 400), (state) => {
        const frames = encodeTraceState(state);
        const parts = frames.map(decoded);
        for (const frame of frames) assert.ok(frame.length <= 42 + 1422);
        assert.deepEqual(new Set(parts.flatMap((p) => p.tunnelKeys)), new Set(state.tunnelKeys));
        assert.deepEqual(new Set(parts.flatMap((p) => p.requestIds)), new Set(state.requestIds));
        for (const p of parts) {
          assert.deepEqual({ ...p, tunnelKeys: [], requestIds: [] }, { ...state, tunnelKeys: [], requestIds: [] });
          assert.equal(p.tunnelKeys.length === 0, state.tunnelKeys.length === 0);
          assert.equal(p.requestIds.length === 0, state.requestIds.length === 0);
        }
      }),
      { numRuns: 60 },
    );
  });

  it("fills one message to the last byte before it takes a second", () => {
    const ids = (n: number): TraceState => ({
      ...STATE,
      requestIds: Array.from({ length: n }, (_, i) => requestId(i)),
    });
    const most = Math.floor((1422 - 46 - 5 - 28 - 2 - 4) / 16);
    assert.equal(encodeTraceState(ids(most)).length, 1);
    assert.equal(encodeTraceState(ids(most + 1)).length, 2);
  });

  it("refuses to encode what is not what it should be", () => {
    for (const wrong of [
      { ...STATE, senderHostId: "h1" },
      { ...STATE, senderHostId: id(1).replace("-", "_") },
      { ...STATE, token: "123" },
      { ...STATE, tunnelKeys: [0x80_0005] },
      { ...STATE, tunnelKeys: [1.5] },
      { ...STATE, key: { ...PING, ethSrc: "ac:ca:ba:00:00:0g" } },
      { ...STATE, key: { ...PING, networkDst: "10.0.1" } },
      { ...STATE, key: { ...PING, networkDst: "10.0.1.256" } },
      { ...STATE, key: { ...PING, networkDst: "::1" } },
      { ...STATE, key: { ...PING, srcPort: 65536 } },
    ])
      assert.throws(() => encodeTraceState(wrong), { code: "INTERNAL" });
  });

  it("says what is wrong with a frame", () => {
    const longer = new Uint8Array(one().length + 1);
    longer.set(one());
    const cases: [Uint8Array, RegExp][] = [
      [new Uint8Array(0), /shorter than its headers/],
      [one().slice(0, 41), /shorter than its headers/],
      [changed(0, 0), /MAC/],
      [changed(11, 9), /MAC/],
      [changed(12, 0x86), /not IPv4/],
      [changed(22, 63), /IPv4 header/],
      [changed(20, 0x20), /IPv4 header/],
      [changed(29, 9), /IPv4 addresses/],
      [changed(33, 9), /IPv4 addresses/],
      [changed(35, 9), /UDP ports/],
      [changed(41, 9), /UDP checksum/],
      [changed(24, 9), /header checksum/],
      [changed(39, 9), /UDP length/],
      [longer, /IPv4 length/],
      [one().slice(0, -1), /IPv4 length/],
      [changed(42, 0), /magic/],
      [changed(46, 0), /unknown version 0/],
      [changed(70, 9), /checksum does not match/],
      [changed(one().length - 1, 0), /checksum does not match/],
      [reseal(changed(47, 0x3f)), /flags/],
      [reseal(changed(47, 0x1c)), /family and flags/],
      [reseal(changed(47, 0x0f)), /absent field/],
      [reseal(changed(88, 0xff)), /tunnel keys/],
      [reseal(changed(90, 0x80)), /trace bit/],
      [reseal(changed(107, 5)), /request ids|family/],
      [reseal(changed(107, 6)), /trace key|request ids/],
      [reseal(one().slice(0, -5)), /request ids do not fill/],
      [reseal(one().slice(0, 60)), /fixed part/],
    ];
    for (const [frame, expected] of cases) assert.match(reason(frame), expected);
  });

  it("names a newer version, whatever else it holds", () => {
    assert.equal(reason(changed(46, 2)), "version 2 is newer than this agent, which reads up to 1");
  });

  it("refuses a payload over the limit even when all else is right", () => {
    const big = new Uint8Array(42 + 1423);
    big.set(one());
    assert.match(reason(reseal(big)), /longer than 1422/);
  });

  it("never takes a frame in which one bit is turned", () => {
    const frame = one();
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const copy = frame.slice();
      copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
      assert.equal(decodeTraceState(copy).ok, false, `bit ${bit}`);
    }
  });
});
