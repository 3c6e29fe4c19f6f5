import { readFileSync, readdirSync } from "node:fs";
import { type Capture, decodeCapture, parseIpv4, parseMac } from "#core/packets";
import { unhex } from "#core/base";

const FIXTURES = new URL("../../fixtures/", import.meta.url);

export function realCapture(): Capture {
  return decodeCapture(new Uint8Array(readFileSync(new URL("captures/real-kernel.pcap", FIXTURES))));
}

/** Each file is hex digits, with lines that begin with # for what it is about. */
export function corpus(): { name: string; bytes: Uint8Array }[] {
  const folder = new URL("corpus/frames/", FIXTURES);
  return readdirSync(folder)
    .filter((name) => name.endsWith(".hex"))
    .map((name) => ({ name, bytes: bytesOf(readFileSync(new URL(name, folder), "utf8").replace(/^#.*$/gm, "")) }));
}

export function bytesOf(hexText: string): Uint8Array {
  const bytes = unhex(hexText);
  if (bytes === null) throw new Error(`not hex: ${hexText}`);
  return bytes;
}

export function mac(text: string) {
  const v = parseMac(text);
  if (v === null) throw new Error(text);
  return v;
}

export function ip(text: string) {
  const v = parseIpv4(text);
  if (v === null) throw new Error(text);
  return v;
}

export const ENDS = {
  ethSrc: mac("02:00:00:00:00:01"),
  ethDst: mac("02:00:00:00:00:02"),
  ipSrc: ip("10.0.1.10"),
  ipDst: ip("10.0.2.20"),
};
