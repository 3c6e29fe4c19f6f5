import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  completeMask,
  ETHERTYPE,
  F,
  fieldNames,
  type FieldSet,
  fiveTupleFields,
  type FlowMask,
  FlowMatch,
  formatMasked,
  FRAGMENT,
  IP_PROTO,
  isInstallable,
  matchesMasked,
  UNTAGGED,
  USERSPACE_ONLY,
} from "#core/flows";
import { ip, match, tcp } from "./kit.ts";

const names = (fields: FieldSet): string[] => fieldNames(fields);
const mask = (fields: FieldSet, nwSrcBits = 32, nwDstBits = 32): FlowMask => ({ fields, nwSrcBits, nwDstBits });
const echo = (fields: Partial<FlowMatch> = {}): FlowMatch =>
  tcp({ nwProto: IP_PROTO.ICMP, tpSrc: 8, tpDst: 0, icmpId: 7, ...fields });
const arp = (): FlowMatch => tcp({ etherType: ETHERTYPE.ARP, nwProto: 1, nwTtl: 0, tpSrc: 0, tpDst: 0 });

describe("completeMask", () => {
  it("compares the input port always", () => {
    assert.deepEqual(names(completeMask(tcp(), 0, 0, 0).fields), ["InPort"]);
  });

  it("adds what a field presupposes: ports the protocol, that the ethertype, IP the fragment type", () => {
    const { fields } = completeMask(tcp(), F.TpDst, 0, 0);
    assert.deepEqual(names(fields), ["InPort", "EtherType", "NwProto", "Fragment", "TpDst"]);
    for (const field of [F.NwProto, F.NwTos, F.NwTtl, F.Fragment]) {
      const expected = field | F.InPort | F.EtherType | F.Fragment;
      assert.deepEqual(names(completeMask(tcp(), field, 0, 0).fields), names(expected));
    }
  });

  it("keeps the leading bits that were looked at, and a comparison of none is no comparison", () => {
    const seen = F.NwSrc | F.NwDst;
    const wide = completeMask(tcp(), seen, 24, 0);
    assert.deepEqual([wide.nwSrcBits, wide.nwDstBits], [24, 0]);
    assert.deepEqual(names(wide.fields), ["InPort", "EtherType", "NwSrc", "Fragment"]);
    const none = completeMask(tcp(), F.EthSrc, 32, 32);
    assert.deepEqual([none.nwSrcBits, none.nwDstBits], [0, 0], "bits of addresses that nobody looked at");
  });

  it("compares addresses of IPv6 and ARP whole", () => {
    for (const m of [arp(), tcp({ etherType: ETHERTYPE.IPV6 })]) {
      const whole = completeMask(m, F.NwSrc | F.NwDst, 8, 0);
      assert.deepEqual([whole.nwSrcBits, whole.nwDstBits], [32, 32]);
    }
  });

  it("leaves out what the packet does not have, and no switch could match", () => {
    const all = F.NwTos | F.NwTtl | F.Fragment | F.TpSrc | F.TpDst;
    assert.deepEqual(names(completeMask(arp(), all, 0, 0).fields), ["InPort", "EtherType", "NwProto"]);
    assert.deepEqual(names(completeMask(tcp({ etherType: 0x88cc }), F.TpSrc | F.NwTtl, 0, 0).fields), [
      "InPort",
      "EtherType",
      "NwProto",
    ]);
    const later = completeMask(tcp({ fragment: FRAGMENT.LATER }), F.TpSrc | F.TpDst, 0, 0);
    assert.deepEqual(names(later.fields), ["InPort", "EtherType", "NwProto", "Fragment"]);
    const gre = completeMask(tcp({ nwProto: 47 }), F.TpDst, 0, 0);
    assert.deepEqual(names(gre.fields), ["InPort", "EtherType", "NwProto", "Fragment"]);
    const icmp6InIpv4 = completeMask(tcp({ nwProto: IP_PROTO.ICMPV6 }), F.TpSrc, 0, 0);
    assert.ok(!names(icmp6InIpv4.fields).includes("TpSrc"), "IPv4 has no ICMPv6");
  });

  it("compares the tunnel of a packet that came through one", () => {
    const { fields } = completeMask(tcp({ tunnelKey: 5 }), 0, 0, 0);
    assert.deepEqual(names(fields), ["InPort", "TunnelKey", "TunnelSrc", "TunnelDst"]);
  });

  it("is at rest: completing it again adds nothing, and it still covers its packet", () => {
    for (const m of [
      tcp(),
      echo(),
      arp(),
      tcp({ etherType: ETHERTYPE.IPV6 }),
      tcp({ tunnelKey: 9, vlan: 5 }),
      match(),
    ]) {
      for (const field of Object.values(F)) {
        const once = completeMask(m, field, 24, 16);
        assert.deepEqual(completeMask(m, once.fields, once.nwSrcBits, once.nwDstBits), once);
        assert.ok(matchesMasked(m, once, m.clone()));
      }
    }
  });
});

describe("isInstallable", () => {
  it("is false exactly when a field was looked at that no switch can match", () => {
    for (const [name, field] of Object.entries(F)) {
      const made = completeMask(echo(), field, 32, 32);
      assert.equal(isInstallable(made), (field & USERSPACE_ONLY) === 0, name);
    }
    assert.deepEqual(names(USERSPACE_ONLY), ["IcmpId", "IcmpData"]);
  });
});

describe("matchesMasked", () => {
  /** Another packet that differs in just this field. */
  const OTHER: Readonly<Partial<Record<keyof typeof F, Partial<FlowMatch>>>> = {
    InPort: { inPort: 4 },
    TunnelKey: { tunnelKey: 1 },
    TunnelSrc: { tunnelSrc: 1 },
    TunnelDst: { tunnelDst: 1 },
    EthSrc: { ethSrc: 1 },
    EthDst: { ethDst: 1 },
    EtherType: { etherType: ETHERTYPE.IPV6 },
    Vlan: { vlan: 0 },
    NwProto: { nwProto: 17 },
    NwSrc: { nwSrc: 1 },
    NwDst: { nwDst: 1 },
    NwTos: { nwTos: 4 },
    NwTtl: { nwTtl: 63 },
    Fragment: { fragment: FRAGMENT.FIRST },
    TpSrc: { tpSrc: 1 },
    TpDst: { tpDst: 1 },
    IcmpId: { icmpId: 8 },
    ArpSha: { arpSha: 1 },
  };
  const every = Object.values(F).reduce<number>((all, field) => all | field, 0);

  it("compares each field, and only where the mask says so", () => {
    assert.equal(
      Object.keys(OTHER).length,
      Object.keys(F).length - 1,
      "all but IcmpData, which is no field of a match",
    );
    for (const [name, change] of Object.entries(OTHER)) {
      const field = F[name as keyof typeof F];
      const other = tcp(change);
      assert.ok(!matchesMasked(tcp(), mask(field), other), name);
      assert.ok(!matchesMasked(tcp(), mask(every), other), name);
      assert.ok(matchesMasked(tcp(), mask(every & ~field), other), name);
    }
    assert.ok(matchesMasked(tcp(), mask(every), tcp()));
  });

  it("compares IPv6 addresses", () => {
    const m = tcp({ etherType: ETHERTYPE.IPV6, nwSrc: 0, nwDst: 0, ip6Src: 1n, ip6Dst: 2n });
    assert.ok(!matchesMasked(m, mask(F.NwSrc), Object.assign(m.clone(), { ip6Src: 9n })));
    assert.ok(!matchesMasked(m, mask(F.NwDst), Object.assign(m.clone(), { ip6Dst: 9n })));
    assert.ok(matchesMasked(m, mask(F.NwDst), Object.assign(m.clone(), { ip6Src: 9n })));
  });

  it("compares as many leading bits of an IPv4 address as the mask says", () => {
    for (let bits = 0; bits <= 32; bits++) {
      for (let flipped = 0; flipped < 32; flipped++) {
        const value = (ip("255.0.170.1") ^ (1 << (31 - flipped))) >>> 0;
        const covered = flipped >= bits;
        const m = tcp({ nwSrc: ip("255.0.170.1"), nwDst: ip("255.0.170.1") });
        assert.equal(matchesMasked(m, mask(F.NwSrc, bits, 0), tcp({ nwSrc: value })), covered, `${bits} ${flipped}`);
        assert.equal(matchesMasked(m, mask(F.NwDst, 0, bits), tcp({ nwDst: value })), covered, `${bits} ${flipped}`);
      }
    }
  });
});

describe("fiveTupleFields", () => {
  it("is one conversation's direction, by the kind of packet", () => {
    const ports = ["EtherType", "NwProto", "NwSrc", "NwDst", "Fragment", "TpSrc", "TpDst"];
    assert.deepEqual(names(fiveTupleFields(tcp())), ports);
    assert.deepEqual(names(fiveTupleFields(tcp({ etherType: ETHERTYPE.IPV6 }))), ports);
    assert.deepEqual(names(fiveTupleFields(echo())), [...ports, "IcmpId"]);
    assert.deepEqual(names(fiveTupleFields(tcp({ fragment: FRAGMENT.LATER }))), ports.slice(0, 5));
    assert.deepEqual(names(fiveTupleFields(arp())), ports.slice(0, 4));
    assert.deepEqual(names(fiveTupleFields(match({ etherType: 0x88cc }))), ["EthSrc", "EthDst", "EtherType"]);
  });

  it("tells an echo's other conversations apart, so no flow is installed for one", () => {
    const fields = fiveTupleFields(echo());
    assert.ok(!matchesMasked(echo(), mask(fields), echo({ icmpId: 8 })));
    assert.ok(!isInstallable(completeMask(echo(), fields, 32, 32)));
    assert.ok(isInstallable(completeMask(tcp(), fiveTupleFields(tcp()), 32, 32)));
  });
});

describe("formatMasked", () => {
  it("shows what is compared and nothing else", () => {
    assert.equal(formatMasked(tcp(), mask(0)), "");
    const five = completeMask(tcp(), fiveTupleFields(tcp()), 32, 24);
    assert.equal(
      formatMasked(tcp(), five),
      "in_port=3,dl_type=0x0800,nw_proto=6,nw_src=10.0.1.10,nw_dst=10.0.2.20/24,frag=no,tp_src=4000,tp_dst=80",
    );
    const tunnelled = tcp({
      tunnelKey: 0x80_0005,
      tunnelSrc: ip("192.0.2.1"),
      tunnelDst: ip("192.0.2.2"),
      vlan: UNTAGGED,
    });
    assert.equal(
      formatMasked(tunnelled, mask(F.TunnelKey | F.TunnelSrc | F.TunnelDst | F.EthSrc | F.EthDst | F.Vlan)),
      "tun_id=0x800005,tun_src=192.0.2.1,tun_dst=192.0.2.2,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,vlan=none",
    );
    const v6 = tcp({ etherType: ETHERTYPE.IPV6, ip6Src: 1n, vlan: 7, nwTos: 4, fragment: FRAGMENT.LATER });
    assert.equal(
      formatMasked(v6, mask(F.Vlan | F.NwSrc | F.NwTos | F.NwTtl | F.Fragment)),
      "vlan=7,nw_src=::1,nw_tos=4,nw_ttl=64,frag=later",
    );
    assert.equal(formatMasked(echo(), mask(USERSPACE_ONLY)), "icmp_id=7,icmp_data=exact");
  });
});

describe("FlowMatch", () => {
  it("is copied whole", () => {
    const m = new FlowMatch();
    for (const [i, name] of Object.keys(m).entries()) {
      Object.assign(m, { [name]: name.startsWith("ip6") ? BigInt(i + 1) : i + 1 });
    }
    assert.deepEqual(m.clone(), m);
  });
});
