import { AssertionError } from "node:assert";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCommand, OvsHost, Testbed, testbedMissing, Underlay } from "#adapters/testbed";
import { NamespaceNetwork, RawFrames } from "./raw-frames.ts";

/** Why a test with real Open vSwitch cannot run here, with the command that helps; null: it can. */
export function ovsMissing(): string | null {
  const missing = testbedMissing();
  if (missing !== null) return missing;
  const tools = ["tcpdump", "python3"].filter((tool) => !hasCommand(tool));
  return tools.length === 0 ? null : `${tools.join(", ")} not found: apt-get install ${tools.join(" ")}`;
}

/**
 * For `skip` of a test that needs real Open vSwitch.
 *
 * @throws Error instead of skipping where `MIDOTRACE_REQUIRE_ALL=1` says that nothing may be skipped.
 */
export function skipWithoutOvs(): string | false {
  const missing = ovsMissing();
  if (missing === null) return false;
  if (process.env["MIDOTRACE_REQUIRE_ALL"] === "1") throw new Error(`MIDOTRACE_REQUIRE_ALL=1, but ${missing}`);
  return missing;
}

/** A host with Open vSwitch and somebody inside its namespace who sends, receives and looks for us. */
export interface OvsTestHost {
  readonly host: OvsHost;
  readonly frames: RawFrames;
  network(): NamespaceNetwork;
  /** A cable `name` whose end `<name>p` is ours. */
  addDevice(name: string): Promise<void>;
  removeDevice(name: string): Promise<void>;
}

export async function addOvsTestHost(
  testbed: Testbed,
  underlay: Underlay,
  name: string,
  tunnelAddress: string,
): Promise<OvsTestHost> {
  const host = await OvsHost.create(testbed, underlay, { name, tunnelAddress });
  const frames = await RawFrames.start(host.namespace);
  testbed.onClose(() => frames.stop());
  return {
    host,
    frames,
    network: () => new NamespaceNetwork(frames, "br-phy"),
    addDevice: (device) =>
      host.namespace.ip(
        `link add ${device} mtu 2000 type veth peer name ${device}p mtu 2000`,
        `link set ${device}p up`,
        `link set ${device} up`,
      ),
    removeDevice: (device) => host.namespace.ip(`link delete ${device}`),
  };
}

/** Two hosts on one underlay: 192.168.10.1 and .2. */
export async function ovsTestbed(): Promise<{
  readonly testbed: Testbed;
  readonly underlay: Underlay;
  readonly a: OvsTestHost;
  readonly b: OvsTestHost;
}> {
  const testbed = await Testbed.create();
  const underlay = await Underlay.create(testbed);
  const a = await addOvsTestHost(testbed, underlay, "a", "192.168.10.1/24");
  const b = await addOvsTestHost(testbed, underlay, "b", "192.168.10.2/24");
  return { testbed, underlay, a, b };
}

const PROBE_MS = 10;

/**
 * Like `eventually` of the store's tests, but it leaves the processor to the daemons it waits for.
 *
 * @throws the last AssertionError when the deadline is over; anything else that `fn` throws, at once.
 */
export async function soon<T>(fn: () => T | Promise<T>, deadlineMs = 15_000): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await fn();
    } catch (error) {
      if (!(error instanceof AssertionError) || performance.now() > end) throw error;
    }
    await sleep(PROBE_MS);
  }
}
