import { ETHERTYPE, FlowMatch, IP_PROTO } from "#core/flows";
import { parseIpv4 } from "#core/packets";

export const ip = (text: string): number => {
  const v = parseIpv4(text);
  if (v === null) throw new Error(text);
  return v;
};

/** A packet with these fields; the rest is absent. */
export const match = (fields: Partial<FlowMatch> = {}): FlowMatch => Object.assign(new FlowMatch(), fields);

/** TCP 10.0.1.10:4000 > 10.0.2.20:80, from interface 3. */
export const tcp = (fields: Partial<FlowMatch> = {}): FlowMatch =>
  match({
    inPort: 3,
    ethSrc: 0x0200_0000_0001,
    ethDst: 0x0200_0000_0002,
    etherType: ETHERTYPE.IPV4,
    nwProto: IP_PROTO.TCP,
    nwSrc: ip("10.0.1.10"),
    nwDst: ip("10.0.2.20"),
    nwTtl: 64,
    tpSrc: 4000,
    tpDst: 80,
    ...fields,
  });
