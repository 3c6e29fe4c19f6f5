/** A device of a path as the API counts it, or a stretch that is somebody else's. */
export type PathDevice =
  | { readonly type: string; readonly id: string; readonly name: string; readonly withheld?: never }
  | { readonly withheld: true; readonly id?: never };

/**
 * What stands in one line for a host's part of a path: bridges and routers, and the ports by which the packet came in and
 * went out. The ports between are in their names, and what the host did afterwards at the port of entry is no way.
 */
export function wayOf(devices: readonly PathDevice[]): PathDevice[] {
  const way: PathDevice[] = [];
  const entry = devices[0];
  for (const [i, device] of devices.entries()) {
    // Waiting names the device that is waited for, before the packet is there.
    const ahead = isPort(devices[i - 1]) && isPort(devices[i + 1]) && devices[i - 1]?.id === devices[i + 1]?.id;
    const last = i === devices.length - 1;
    const between = isPort(device) && i > 0 && !last;
    const afterwards = isPort(device) && i > 0 && device.id === entry?.id;
    if (!ahead && !between && !afterwards) way.push(device);
  }
  // Where the last port was the port of entry again, the one before it is where the packet left.
  const end = devices.at(-1);
  const left = devices.at(-2);
  if (devices.length > 2 && isPort(end) && end?.id === entry?.id && isPort(left) && left !== undefined) way.push(left);
  return way.filter((d, i) => d.id === undefined || d.id !== way[i - 1]?.id);
}

const isPort = (device: PathDevice | undefined): boolean => device?.withheld === undefined && device?.type === "port";
