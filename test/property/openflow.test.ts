import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { it } from "node:test";
import * as fc from "fast-check";
import { F, type FlowAction, FlowMatch, hasL4, UNTAGGED, USERSPACE_ONLY } from "#core/flows";
import { encodeInstructions, FlowTemplate, maskForActions, Output, reachesHiddenTags } from "#protocols/openflow";

const MISSING = "ovs-ofctl is missing: apt-get install openvswitch-switch";
const there = spawnSync("ovs-ofctl", ["--version"]).status === 0;
if (!there && process.env["MIDOTRACE_REQUIRE_ALL"] === "1") throw new Error(MISSING);

const u = (bits: number): fc.Arbitrary<number> => fc.nat(2 ** bits - 1);
const u16 = u(16);
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const mac = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffffn }).map(Number);

/** Headers as a packet can have them: what lower layers do not say is zero. */
const match = fc
  .record({
    inPort: fc.integer({ min: 1, max: 0xfeff }),
    tunnelKey: fc.nat(0xff_ffff),
    tunnelSrc: u32,
    tunnelDst: u32,
    ethSrc: mac,
    ethDst: mac,
    etherType: fc.constantFrom(0x0800, 0x0806, 0x86dd, 0x8100, 0x88cc),
    vlan: fc.oneof(fc.constant(UNTAGGED), u(12)),
    nwProto: fc.constantFrom(1, 6, 17, 47, 58, 255),
    nwSrc: u32,
    nwDst: u32,
    ip6Src: fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
    ip6Dst: fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
    nwTos: u(8),
    nwTtl: u(8),
    fragment: fc.constantFrom(0, 1, 2),
    tpSrc: u16,
    tpDst: u16,
  })
  .map((fields) => {
    const m = Object.assign(new FlowMatch(), fields);
    if (m.etherType === 0x8100 && m.vlan === UNTAGGED) m.vlan = 1;
    if (!hasL4(m)) m.tpSrc = m.tpDst = 0;
    else if (m.nwProto === 1 || m.nwProto === 58) {
      m.tpSrc &= 255;
      m.tpDst &= 255;
    }
    return m;
  });

const action: fc.Arbitrary<FlowAction> = fc.oneof(
  fc.record({ kind: fc.constant("set-eth" as const), src: mac, dst: mac }),
  fc.record({ kind: fc.constant("set-ipv4" as const), src: fc.option(u32), dst: fc.option(u32), ttl: fc.option(u(8)) }),
  fc.record({ kind: fc.constant("set-tp" as const), src: fc.option(u16), dst: fc.option(u16) }),
  fc.record({ kind: fc.constant("arp-reply" as const), mac, ip: u32, toMac: mac, toIp: u32 }),
  fc.record({ kind: fc.constant("push-vlan" as const), vlan: u(12) }),
  fc.constant({ kind: "pop-vlan" as const }),
  fc.record({ kind: fc.constant("set-tunnel" as const), key: fc.nat(0xff_ffff), dst: u32 }),
  fc.record({ kind: fc.constant("output" as const), port: fc.integer({ min: 1, max: 0xfeff }) }),
  fc.constant({ kind: "output-in-port" as const }),
);

it("Open vSwitch takes every entry that can be declared", { skip: there ? false : MISSING }, () => {
  const bits = fc.integer({ min: 1, max: 32 });
  const fields = fc.nat(F.ArpSha * 2 - 1).map((f) => f & ~USERSPACE_ONLY);
  const guard = fc.option(fc.constant({ longestBytes: 1464, tooLongTable: 1, outputTable: 2 }));
  const seen = { actions: 0, accepted: 0 };
  fc.assert(
    fc.property(match, fields, bits, bits, fc.array(action, { maxLength: 6 }), guard, (m, f, src, dst, actions, g) => {
      fc.pre(!reachesHiddenTags(m, actions));
      const out = new Output();
      // Addresses of ARP and IPv6 are compared whole; ports want the protocol, as `completeMask` has it.
      const whole = m.etherType !== 0x0800;
      const asked = {
        fields: (f & (F.TpSrc | F.TpDst)) !== 0 ? f | F.NwProto : f,
        nwSrcBits: whole ? 32 : src,
        nwDstBits: whole ? 32 : dst,
      };
      const mask = maskForActions(m, asked, actions, g !== null);
      const flow = { table: 0, priority: 1, idleTimeoutS: 0, hardTimeoutS: 0 };
      const instructions = encodeInstructions(m, actions, g);
      new FlowTemplate({ ...flow, match: m, mask, instructions }).write(out, 1, 1, 2, m);
      const text = execFileSync("ovs-ofctl", ["ofp-print", Buffer.from(out.take()).toString("hex")], {
        encoding: "utf8",
      });
      assert.match(text, /^OFPT_FLOW_MOD \(OF1\.3\) \(xid=0x1\): ADD /);
      assert.doesNotMatch(text, /\*\*\*/);
      seen.accepted++;
      if (!text.includes("actions=drop")) seen.actions++;
    }),
    { numRuns: 300, seed: 20_161_123 },
  );
  assert.ok(seen.actions > 150);
});
