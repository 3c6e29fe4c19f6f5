import type { Datapath } from "#core/datapath";
import { runActions } from "#core/flows";
import type { PhysicalOutput, Translation } from "./translation.ts";

export type RemoteOutput = Extract<PhysicalOutput, { readonly kind: "remote" }>;

/** A frame for another host, as it goes into the tunnel. */
export interface WireCopy {
  readonly to: RemoteOutput;
  readonly frame: Uint8Array;
}

export const isRemote = (o: PhysicalOutput): o is RemoteOutput => o.kind === "remote";

/** The frames that the actions put into the tunnel, in order, each with the output that it is for. */
export function wireCopies(frame: Uint8Array, t: Translation, tunnelOfport: number | null): WireCopy[] {
  const remotes = t.outputs.filter(isRemote);
  const copies: WireCopy[] = [];
  runActions(frame, t.actions, (port, frame) => {
    const to = port === tunnelOfport ? remotes[copies.length] : undefined;
    if (to !== undefined) copies.push({ to, frame });
  });
  return copies;
}

/** Sends each by itself. `keyOf` gives the tunnel key (with or without the trace bit). */
export function sendCopies(
  datapath: Datapath,
  copies: readonly WireCopy[],
  tunnelOfport: number | null,
  inPort: number,
  keyOf: (copy: WireCopy) => number,
): void {
  if (tunnelOfport === null) return;
  for (const copy of copies) {
    const tunnel = { kind: "set-tunnel", key: keyOf(copy), dst: copy.to.tunnelIp } as const;
    datapath.packetOut(copy.frame, [tunnel, { kind: "output", port: tunnelOfport }], inPort);
  }
}
