import { readFileSync } from "node:fs";
import { run } from "#adapters/testbed";
import { decodeCapture } from "#core/packets";

/** A packet of the underlay as tshark reads it. */
export interface TunnelledPacket {
  /** Tunnel addresses, dotted. */
  readonly from: string;
  readonly to: string;
  readonly vni: number;
  /** Of the packet inside; "" where it has none. */
  readonly ipSrc: string;
  readonly ipDst: string;
  /** tshark's names, outermost first: "eth:ethertype:ip:icmp:data". */
  readonly protocols: string;
  /** UDP's or TCP's. */
  readonly ports: readonly [source: number, destination: number] | null;
  readonly icmp: { readonly type: number; readonly id: number; readonly seq: number } | null;
  /** The whole frame inside, cut out by length. */
  readonly frame: Uint8Array;
}

const FIELDS = [
  "frame.protocols",
  "ip.src",
  "ip.dst",
  "vxlan.vni",
  "udp.srcport",
  "udp.dstport",
  "tcp.srcport",
  "tcp.dstport",
  "icmp.type",
  "icmp.ident",
  "icmp.seq",
] as const;

/** Ethernet, IPv4 without options, UDP, VXLAN. */
const OUTER_BYTES = 14 + 20 + 8 + 8;

/** What VXLAN (UDP port 4789) carried, in order. Everything but `frame` is what tshark says, not our own codec. */
export async function decodeVxlan(file: string): Promise<TunnelledPacket[]> {
  const fields = FIELDS.flatMap((name) => ["-e", name]);
  const shape = ["-T", "fields", "-E", "separator=;", "-E", "occurrence=a", "-E", "aggregator=,"];
  const { stdout } = await run("tshark", ["-n", "-r", file, ...shape, ...fields]);
  const capture = decodeCapture(readFileSync(file));
  if (!("frames" in capture)) throw new Error(`${file} is not a capture`);
  const lines = stdout.split("\n").slice(0, -1);
  if (lines.length !== capture.frames.length) throw new Error(`tshark saw ${lines.length} packets`);
  return lines.flatMap((line, i) => {
    const cells = new Map(line.split(";").map((cell, column) => [FIELDS[column], cell.split(",")]));
    const cell = (name: (typeof FIELDS)[number], n: number): string => cells.get(name)?.[n] ?? "";
    const [, protocols] = cell("frame.protocols", 0).split(":vxlan:");
    if (protocols === undefined) return [];
    const number = (name: (typeof FIELDS)[number], n: number): number => Number(cell(name, n));
    const stack = protocols.split(":");
    const udp = stack.includes("udp") && !stack.includes("icmp");
    const tcp = stack.includes("tcp") && !stack.includes("icmp");
    return {
      from: cell("ip.src", 0),
      to: cell("ip.dst", 0),
      vni: number("vxlan.vni", 0),
      ipSrc: cell("ip.src", 1),
      ipDst: cell("ip.dst", 1),
      protocols,
      ports: udp
        ? [number("udp.srcport", 1), number("udp.dstport", 1)]
        : tcp
          ? [number("tcp.srcport", 0), number("tcp.dstport", 0)]
          : null,
      icmp: stack.includes("icmp")
        ? { type: number("icmp.type", 0), id: number("icmp.ident", 0), seq: number("icmp.seq", 0) }
        : null,
      frame: (capture.frames[i] as { bytes: Uint8Array }).bytes.subarray(OUTER_BYTES),
    };
  });
}
