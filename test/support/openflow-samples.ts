import { ByteWriter } from "#core/base";
import { FlowMatch } from "#core/flows";

/** A match with every field of a TCP packet from a tunnel set. */
export function tcpMatch(more: Partial<FlowMatch> = {}): FlowMatch {
  return Object.assign(new FlowMatch(), {
    inPort: 3,
    tunnelKey: 0x2a,
    tunnelSrc: 0xc0a8_0a01,
    tunnelDst: 0xc0a8_0a02,
    ethSrc: 0x02_00_00_00_01_01,
    ethDst: 0x02_00_00_00_01_02,
    etherType: 0x0800,
    vlan: 7,
    nwProto: 6,
    nwSrc: 0x0a00_0101,
    nwDst: 0x0a00_0102,
    nwTos: 0xb9,
    nwTtl: 63,
    tpSrc: 1000,
    tpDst: 80,
    ...more,
  });
}

const u64 = (w: ByteWriter, high: number, low: number): ByteWriter => w.u32(high).u32(low);

/** What a switch sends, written here independently of the code under test. */
export const FROM_SWITCH = {
  message(type: number, xid: number, body: Uint8Array, version = 4): Uint8Array {
    return new ByteWriter()
      .u8(version)
      .u8(type)
      .u16(8 + body.length)
      .u32(xid)
      .append(body)
      .finish();
  },
  hello(xid = 1, bitmap = 0x72, version = 6): Uint8Array {
    return this.message(0, xid, new ByteWriter().u16(1).u16(8).u32(bitmap).finish(), version);
  },
  features(xid: number): Uint8Array {
    return this.message(6, xid, u64(new ByteWriter(), 1, 2).u32(0).u8(254).u8(0).u16(0).u32(0x4f).u32(0).finish());
  },
  packetIn(o: {
    inPort: number;
    frame: Uint8Array;
    cookie?: readonly [number, number];
    table?: number;
    /** Key, source, destination. */
    tunnel?: readonly [number, number, number];
  }): Uint8Array {
    const oxm = new ByteWriter();
    if (o.tunnel !== undefined) {
      u64(oxm.u32(0x8000_4c08), 0, o.tunnel[0]);
      oxm.u32(0x0001_3e04).u32(o.tunnel[1]).u32(0x0001_4004).u32(o.tunnel[2]);
    }
    oxm.u32(0x8000_0004).u32(o.inPort);
    const [high, low] = o.cookie ?? [0xffe0_0000, 1];
    const w = new ByteWriter()
      .u32(0xffff_ffff)
      .u16(o.frame.length)
      .u8(0)
      .u8(o.table ?? 0);
    u64(w, high, low)
      .u16(1)
      .u16(4 + oxm.offset)
      .append(oxm.finish());
    while (w.offset % 8 !== 0) w.u8(0);
    return this.message(10, 0, w.u16(0).append(o.frame).finish());
  },
  flowRemoved(o: { high: number; low: number; reason: number; packets: number; bytes: number }): Uint8Array {
    const w = u64(new ByteWriter(), o.high, o.low).u16(1000).u8(o.reason).u8(0).u32(1).u32(0).u16(0).u16(0);
    u64(u64(w, 0, o.packets), 0, o.bytes)
      .u16(1)
      .u16(4)
      .u32(0);
    return this.message(11, 0, w.finish());
  },
  flowStats(
    xid: number,
    flows: readonly { high: number; low: number; table?: number; priority?: number; packets: number }[],
    more = false,
  ): Uint8Array {
    const w = new ByteWriter()
      .u16(1)
      .u16(more ? 1 : 0)
      .u32(0);
    for (const f of flows) {
      w.u16(56)
        .u8(f.table ?? 0)
        .u8(0)
        .u32(1)
        .u32(0)
        .u16(f.priority ?? 1000)
        .u16(0)
        .u16(0)
        .u16(1)
        .u32(0);
      u64(u64(u64(w, f.high, f.low), 0, f.packets), 0, f.packets * 100)
        .u16(1)
        .u16(4)
        .u32(0);
    }
    return this.message(19, xid, w.finish());
  },
  aggregate(xid: number, packets: number, flows: number): Uint8Array {
    const w = new ByteWriter().u16(2).u16(0).u32(0);
    return this.message(
      19,
      xid,
      u64(u64(w, 0, packets), 0, packets)
        .u32(flows)
        .u32(0)
        .finish(),
    );
  },
  ports(xid: number, ports: readonly { ofport: number; name: string; live: boolean }[]): Uint8Array {
    const w = new ByteWriter().u16(13).u16(0).u32(0);
    for (const p of ports) {
      w.u32(p.ofport).u32(0).u48(0).u16(0);
      for (let i = 0; i < 16; i++) w.u8(i < p.name.length ? p.name.charCodeAt(i) : 0);
      w.u32(0)
        .u32(p.live ? 4 : 1)
        .append(new Uint8Array(24));
    }
    return this.message(19, xid, w.finish());
  },
  error(xid: number, type: number, code: number, data: Uint8Array): Uint8Array {
    return this.message(1, xid, new ByteWriter().u16(type).u16(code).append(data).finish());
  },
} as const;
