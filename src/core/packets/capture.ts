import type { Capture } from "./captured.ts";
import { decodePcap } from "./pcap.ts";
import { decodePcapng } from "./pcapng.ts";

/** Reads a pcap or pcapng file, told apart by its first four bytes. Only Ethernet. Never throws. */
export function decodeCapture(file: Uint8Array): Capture {
  if (file[0] === 0x0a && file[1] === 0x0d && file[2] === 0x0d && file[3] === 0x0a) return decodePcapng(file);
  return decodePcap(file);
}
