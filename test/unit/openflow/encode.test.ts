import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { describe, it, type TestContext } from "node:test";
import { F, type FlowAction, FlowMatch, FRAGMENT, UNTAGGED } from "#core/flows";
import * as of from "#protocols/openflow";
import { tcpMatch } from "../../support/openflow-samples.ts";

/** The referee: Open vSwitch's own decoder, which knows nothing of our code. */
const referee = spawnSync("ovs-ofctl", ["--version"]).status === 0;
const MISSING = "ovs-ofctl is missing: apt-get install openvswitch-switch";

function print(t: TestContext, out: of.Output): string | null {
  const hex = Buffer.from(out.take()).toString("hex");
  if (!referee) {
    if (process.env["MIDOTRACE_REQUIRE_ALL"] === "1") throw new Error(MISSING);
    t.skip(MISSING);
    return null;
  }
  return execFileSync("ovs-ofctl", ["ofp-print", hex, "2"], { encoding: "utf8" }).trim();
}

/** Checks what Open vSwitch reads in a message. */
function reads(t: TestContext, out: of.Output, want: string): void {
  const text = print(t, out);
  if (text !== null) assert.equal(text.replaceAll("\n", ""), want);
}

const ALL = (1 << 16) - 1;
const GUARD: of.LengthGuard = { longestBytes: 1468, tooLongTable: 1, outputTable: 2 };

function add(
  match: FlowMatch,
  fields: number,
  actions: readonly FlowAction[],
  { guard = null, ...more }: Partial<of.FlowAdd> & { readonly guard?: of.LengthGuard | null } = {},
): of.Output {
  const out = new of.Output();
  const mask = { fields, nwSrcBits: 32, nwDstBits: 32 };
  const flow: of.FlowAdd = {
    table: 0,
    priority: 1000,
    match,
    mask,
    idleTimeoutS: 60,
    hardTimeoutS: 5,
    instructions: of.encodeInstructions(match, actions, guard),
    ...more,
  };
  // Made for another match of the shape: everything that is the match's own has to be filled in.
  const other = Object.assign(new FlowMatch(), { etherType: match.etherType, nwProto: match.nwProto });
  other.fragment = match.fragment;
  const template = new of.FlowTemplate({ ...flow, match: other });
  assert.equal(of.shapeOf(other), of.shapeOf(match));
  assert.equal(template.tooLong, false);
  template.write(out, 7, 0x20_0000, 5, match);
  return out;
}

const ADD = "OFPT_FLOW_MOD (OF1.3) (xid=0x7): ADD priority=1000,";
const TAIL = " cookie:0x20000000000005 idle:60 hard:5 send_flow_rem actions=";

const MATCHES: readonly (readonly [string, FlowMatch, number, string])[] = [
  [
    "everything of a TCP packet from a tunnel",
    tcpMatch(),
    ALL,
    "tcp,tun_id=0x2a,tun_src=192.168.10.1,tun_dst=192.168.10.2,in_port=3,dl_vlan=7,dl_src=02:00:00:00:01:01,dl_dst=02:00:00:00:01:02," +
      "nw_src=10.0.1.1,nw_dst=10.0.1.2,nw_tos=184,nw_ecn=1,nw_ttl=63,nw_frag=no,tp_src=1000,tp_dst=80",
  ],
  ["untagged", tcpMatch({ vlan: UNTAGGED }), F.InPort | F.Vlan, "in_port=3,vlan_tci=0x0000/0x1fff"],
  ["VLAN 0", tcpMatch({ vlan: 0 }), F.InPort | F.Vlan, "in_port=3,dl_vlan=0"],
  ["UDP ports", tcpMatch({ nwProto: 17 }), F.EtherType | F.NwProto | F.TpSrc | F.TpDst, "udp,tp_src=1000,tp_dst=80"],
  [
    "ICMP type and code",
    tcpMatch({ nwProto: 1, tpSrc: 3, tpDst: 4 }),
    F.EtherType | F.NwProto | F.TpSrc | F.TpDst,
    "icmp,icmp_type=3,icmp_code=4",
  ],
  [
    "ICMPv6 type",
    tcpMatch({ etherType: 0x86dd, nwProto: 58, tpSrc: 135 }),
    F.EtherType | F.NwProto | F.TpSrc,
    "icmp6,icmp_type=135",
  ],
  [
    "IPv6 addresses",
    tcpMatch({ etherType: 0x86dd, ip6Src: 0xfd00_0000_0000_0000_0000_0000_0000_0001n, ip6Dst: (1n << 128n) - 2n }),
    F.EtherType | F.NwSrc | F.NwDst,
    "ipv6,ipv6_src=fd00::1,ipv6_dst=ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
  ],
  [
    "ARP",
    tcpMatch({ etherType: 0x0806, nwProto: 2 }),
    F.EtherType | F.NwProto | F.NwSrc | F.NwDst,
    "arp,arp_spa=10.0.1.1,arp_tpa=10.0.1.2,arp_op=2",
  ],
  [
    "the hardware address in an ARP message",
    tcpMatch({ etherType: 0x0806, arpSha: 0x0200_0000_0001 }),
    F.EtherType | F.ArpSha,
    "arp,arp_sha=02:00:00:00:00:01",
  ],
  ["first fragments", tcpMatch({ fragment: FRAGMENT.FIRST }), F.EtherType | F.Fragment, "ip,nw_frag=first"],
  [
    "later fragments have no ports",
    tcpMatch({ fragment: FRAGMENT.LATER }),
    F.EtherType | F.Fragment | F.NwProto | F.TpSrc,
    "tcp,nw_frag=later",
  ],
  ["another ethertype has no TTL", tcpMatch({ etherType: 0x88cc }), F.EtherType | F.NwTtl | F.NwSrc, "dl_type=0x88cc"],
  ["a second tag", tcpMatch({ etherType: 0x8100 }), F.Vlan | F.EtherType, "dl_vlan=7,dl_type=0x8100"],
  ["no tunnel key", tcpMatch({ tunnelKey: 0 }), F.TunnelKey, "tun_id=0"],
  ["nothing", tcpMatch(), 0, ""],
];

describe("FLOW_MOD, read by Open vSwitch", () => {
  for (const [name, match, fields, want] of MATCHES)
    it(`match: ${name}`, (t) => {
      const wanted = want === "" ? ADD.slice(0, -1) : ADD + want;
      reads(t, add(match, fields, []), `${wanted}${TAIL}drop`);
    });

  for (const [src, dst, text] of [
    [24, 9, "nw_src=10.0.1.0/24,nw_dst=10.0.0.0/9"],
    [1, 31, "nw_src=0.0.0.0/1,nw_dst=10.0.1.2/31"],
    [0, 32, "nw_dst=10.0.1.2"],
  ] as const)
    it(`prefixes /${src} and /${dst}`, (t) => {
      const mask = { fields: F.EtherType | F.NwSrc | F.NwDst, nwSrcBits: src, nwDstBits: dst };
      reads(t, add(tcpMatch(), 0, [], { mask }), `${ADD}ip,${text}${TAIL}drop`);
    });

  const list: FlowAction[] = [
    { kind: "set-eth", src: 1, dst: 0xffff_ffff_fffe },
    { kind: "set-ipv4", src: 5, dst: 0xffff_fff0, ttl: 62 },
    { kind: "set-tp", src: 9, dst: 65_535 },
    { kind: "pop-vlan" },
    { kind: "push-vlan", vlan: 9 },
    { kind: "set-tunnel", key: 0x80_002a, dst: 0xc0a8_0a03 },
    { kind: "output", port: 100 },
    { kind: "output-in-port" },
  ];
  const rewrites =
    "set_field:00:00:00:00:00:01->eth_src,set_field:ff:ff:ff:ff:ff:fe->eth_dst,set_field:0.0.0.5->ip_src," +
    "set_field:255.255.255.240->ip_dst,mod_nw_ttl:62,set_field:9->tcp_src,set_field:65535->tcp_dst,pop_vlan," +
    "push_vlan:0x8100,set_field:4105->vlan_vid,set_field:0x80002a->tun_id,set_field:192.168.10.3->tun_dst,";

  const needed = of.maskForActions(tcpMatch(), { fields: 0, nwSrcBits: 0, nwDstBits: 0 }, list, false);
  const all = `${ADD}tcp,dl_vlan=7,nw_frag=no${TAIL}`;

  it("every action", (t) =>
    reads(t, add(tcpMatch(), 0, list, { mask: needed }), `${all}${rewrites}output:100,IN_PORT`));

  it("with a length guard no output is direct", (t) => {
    const guarded = `check_pkt_larger(1468)->NXM_NX_REG0[0],resubmit(,1),${rewrites}`;
    const outputs = "set_field:0x64->reg1,resubmit(,2),set_field:0xfff8->reg1,resubmit(,2)";
    reads(t, add(tcpMatch(), 0, list, { mask: needed, guard: GUARD }), `${all}${guarded}${outputs}`);
  });

  it("an ARP reply, of ARP messages without a tag only", (t) => {
    const reply: FlowAction = {
      kind: "arp-reply",
      mac: 0x0200_0000_0009,
      ip: 0x0a00_0101,
      toMac: 7,
      toIp: 0x0a00_0102,
    };
    const set =
      "set_field:02:00:00:00:00:09->eth_src,set_field:00:00:00:00:00:07->eth_dst,set_field:2->arp_op," +
      "set_field:02:00:00:00:00:09->arp_sha,set_field:10.0.1.1->arp_spa,set_field:00:00:00:00:00:07->arp_tha,set_field:10.0.1.2->arp_tpa";
    const arp = tcpMatch({ etherType: 0x0806, vlan: UNTAGGED });
    const list: FlowAction[] = [reply, { kind: "output-in-port" }];
    const mask = of.maskForActions(arp, { fields: 0, nwSrcBits: 0, nwDstBits: 0 }, list, false);
    reads(t, add(arp, 0, list, { mask }), `${ADD}arp${TAIL}${set},IN_PORT`);
    for (const other of [tcpMatch({ vlan: UNTAGGED }), tcpMatch({ etherType: 0x0806, vlan: 7 })])
      reads(t, add(other, 0, list), `${ADD.slice(0, -1)}${TAIL}IN_PORT`);
  });

  it("a switch takes rewrites only with what maskForActions adds", (t) => {
    for (const action of list.slice(1, 4)) {
      const text = print(t, add(tcpMatch(), 0, [action]));
      if (text !== null) assert.match(text, /MATCH_INCONSISTENT/);
    }
  });

  it("rewrites of headers that the packets do not have are left out", (t) => {
    const match = tcpMatch({ etherType: 0x0806, nwProto: 1, vlan: UNTAGGED });
    reads(t, add(match, 0, list.slice(1, 4)), `${ADD.slice(0, -1)}${TAIL}drop`);
    const later = tcpMatch({ fragment: FRAGMENT.LATER });
    reads(t, add(later, 0, [list[2] as FlowAction]), `${ADD.slice(0, -1)}${TAIL}drop`);
    const qinq = tcpMatch({ etherType: 0x8100 });
    reads(t, add(qinq, 0, list.slice(1, 3)), `${ADD.slice(0, -1)}${TAIL}drop`);
  });

  it("a list that no message can hold is known to be too long", () => {
    const many = Array.from({ length: 5000 }, (): FlowAction => ({ kind: "output", port: 1 }));
    const flow = { table: 0, priority: 1, idleTimeoutS: 0, hardTimeoutS: 0 };
    const mask = { fields: 0, nwSrcBits: 0, nwDstBits: 0 };
    const instructions = of.encodeInstructions(tcpMatch(), many, null);
    const template = new of.FlowTemplate({ ...flow, match: tcpMatch(), mask, instructions });
    assert.equal(template.tooLong, true);
  });

  it("deletion by cookie, whole and by mask", (t) => {
    const out = new of.Output();
    of.writeDeleteByCookie(out, 9, 0x20_0000, 5);
    reads(
      t,
      out,
      "OFPT_FLOW_MOD (OF1.3) (xid=0x9): DEL table:255 priority=0 cookie:0x20000000000005/0xffffffffffffffff actions=drop",
    );
    of.writeDeleteByCookieMask(out, 9, { high: 0x20_0000, low: 0 }, { high: 0xffe0_0000, low: 0 });
    reads(
      t,
      out,
      "OFPT_FLOW_MOD (OF1.3) (xid=0x9): DEL table:255 priority=0 cookie:0x20000000000000/0xffe0000000000000 actions=drop",
    );
  });
});

describe("other messages, read by Open vSwitch", () => {
  const cases: readonly (readonly [string, (out: of.Output) => void])[] = [
    ["OFPT_HELLO (OF1.3) (xid=0x1): version bitmap: 0x04", (out) => of.writeHello(out, 1)],
    ["OFPT_SET_CONFIG (OF1.3) (xid=0x1): frags=normal miss_send_len=65535", (out) => of.writeSetConfig(out, 1)],
    ["OFPT_BARRIER_REQUEST (OF1.3) (xid=0x3):", (out) => of.writeBare(out, of.OFPT.BARRIER_REQUEST, 3)],
    ["OFPT_FEATURES_REQUEST (OF1.3) (xid=0x3):", (out) => of.writeBare(out, of.OFPT.FEATURES_REQUEST, 3)],
    [
      "OFPT_ECHO_REPLY (OF1.3) (xid=0x3): 3 bytes of payload00000000  01 02 03                                        |...             |",
      (out) => of.writeEchoReply(out, 3, Uint8Array.of(1, 2, 3)),
    ],
    ["OFPST_FLOW request (OF1.3) (xid=0x4):", (out) => of.writeStatsRequest(out, 4, 1, of.ALL_FLOWS)],
    [
      "OFPST_AGGREGATE request (OF1.3) (xid=0x4): table=0",
      (out) => of.writeStatsRequest(out, 4, 2, { ...of.ALL_FLOWS, table: 0 }),
    ],
  ];
  for (const [want, write] of cases)
    it(want.slice(0, 28), (t) => {
      const out = new of.Output();
      write(out);
      reads(t, out, want);
    });

  it("PACKET_OUT through a tunnel and back out of the port", (t) => {
    const out = new of.Output();
    const mark = of.beginPacketOut(out, 5, 2);
    of.writeSetTunnel(out, 0xff_ffff, 0x0a00_0001);
    of.writeOutput(out, 100);
    of.writeOutput(out, of.OFPP.IN_PORT);
    assert.ok(of.endPacketOut(out, mark, new Uint8Array(60)));
    const text = print(t, out);
    if (text !== null)
      assert.match(
        text,
        /^OFPT_PACKET_OUT \(OF1\.3\) \(xid=0x5\): in_port=2 actions=set_field:0xffffff->tun_id,set_field:10\.0\.0\.1->tun_dst,output:100,IN_PORT data_len=60\n/,
      );
  });

  it("a PACKET_OUT that no message can hold is taken back", () => {
    const out = new of.Output();
    const mark = of.beginPacketOut(out, 5, 2);
    assert.equal(of.endPacketOut(out, mark, new Uint8Array(65_530)), false);
    assert.equal(out.length, 0);
  });
});

describe("maskForActions", () => {
  const mask = { fields: F.InPort, nwSrcBits: 32, nwDstBits: 32 };
  const cases: readonly (readonly [string, FlowAction[], number])[] = [
    ["outputs need nothing", [{ kind: "output", port: 1 }], 0],
    ["new MACs need nothing", [{ kind: "set-eth", src: 1, dst: 2 }], 0],
    ["a new TTL needs the ethertype", [{ kind: "set-ipv4", src: null, dst: null, ttl: 1 }], F.EtherType | F.Fragment],
    ["new ports need the protocol", [{ kind: "set-tp", src: 1, dst: null }], F.EtherType | F.NwProto | F.Fragment],
    ["a popped tag must be known", [{ kind: "pop-vlan" }], F.Vlan],
  ];
  for (const [name, actions, added] of cases)
    it(name, () => {
      const wire = of.maskForActions(tcpMatch(), mask, actions, false);
      assert.equal(wire.fields, F.InPort | added);
      if (added === 0) assert.equal(wire, mask);
    });

  it("entries that are measured know how many tags there are", () => {
    assert.equal(of.maskForActions(tcpMatch(), mask, [], true).fields, F.InPort | F.Vlan | F.EtherType);
    assert.equal(of.maskForActions(tcpMatch({ vlan: UNTAGGED }), mask, [], true).fields, F.InPort | F.Vlan);
  });

  it("ARP is told by its ethertype alone", () => {
    const wire = of.maskForActions(tcpMatch({ etherType: 0x0806 }), mask, [{ kind: "set-tp", src: 1, dst: 2 }], false);
    assert.equal(wire.fields, F.InPort | F.EtherType);
  });
});
