import type { FlowAction } from "#core/flows";

const TAG_BYTES = 4;

/**
 * How many VLAN tags more the copies that go into the tunnel have than the frame that came, at most (fewer: negative); null
 * when nothing goes there.
 */
export function tunnelTagGrowth(actions: readonly FlowAction[], tunnelPort: number): number | null {
  let tags = 0;
  let most: number | null = null;
  for (const action of actions) {
    if (action.kind === "push-vlan") tags++;
    else if (action.kind === "pop-vlan") tags--;
    else if (action.kind === "output" && action.port === tunnelPort) most = most === null ? tags : Math.max(most, tags);
  }
  return most;
}

/** Bytes of the longest frame of which all copies fit the tunnel (`Datapath.tunnelFrameLimit`). */
export function longestServed(tagGrowth: number, limitBytes: number): number {
  return limitBytes - tagGrowth * TAG_BYTES;
}
