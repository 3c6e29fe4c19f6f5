import type { Check } from "./examination.ts";
import { fail, type Finding, ok, unknown, warn } from "./finding.ts";

const START = "systemctl start openvswitch-switch (apt-get install openvswitch-switch)";
/** Major number of the oldest Open vSwitch that this program is tested with. */
const OLDEST_MAJOR = 3;
/** What the userspace datapath asks of VMs. */
const NO_OFFLOAD = "in each VM: ethtool -K eth0 tx off, or its TCP and UDP packets leave without checksums";

export const switchDaemon: Check = {
  name: "ovs-vswitchd",
  timeoutMs: 5_000,
  async run(at, probes) {
    const name = "ovs-vswitchd";
    const looked = await probes.daemon();
    if (looked.value === null)
      return [
        fail(
          name,
          `ovs-vswitchd does not run or does not answer: ${looked.trouble}`,
          `${START}; its log is in /var/log/openvswitch`,
        ),
      ];
    at.daemonRuns = true;
    const { pid, version } = looked.value;
    const found = `ovs-vswitchd ${version} runs (process ${pid})`;
    const major = Number.parseInt(version, 10);
    if (Number.isNaN(major))
      return [unknown(name, `${found}, of an unknown version`, "ask it: ovs-vswitchd --version")];
    if (major < OLDEST_MAJOR)
      return [
        warn(
          name,
          found,
          `upgrade it: nothing older than ${OLDEST_MAJOR}.0 was tested (apt-get install openvswitch-switch)`,
        ),
      ];
    return [ok(name, found)];
  },
};

export const switchDatabase: Check = {
  name: "ovsdb",
  timeoutMs: 5_000,
  async run(at, probes) {
    const name = "ovsdb";
    at.module = await probes.module();
    const module = at.module === "loaded" || at.module === "loadable";
    const looked = await probes.database({ module, tunnelIp: at.tunnelIp });
    if (looked.value === null) {
      const advice = `${START}, or name the directory of its sockets by --ovs-run-dir`;
      return [fail(name, `Open vSwitch's database cannot be read: ${looked.trouble}`, advice)];
    }
    at.database = looked.value;
    const findings = [ok(name, `Open vSwitch's database answers, with ${looked.value.bridges.length} bridges`)];
    if (!looked.value.applied && at.daemonRuns) {
      const advice = "see /var/log/openvswitch/ovs-vswitchd.log; systemctl restart openvswitch-switch ends it";
      findings.push(warn(name, "ovs-vswitchd has not done all that its database asks for", advice));
    }
    return findings;
  },
};

/** Which datapath it is or will be, and what that means. */
export const datapath: Check = {
  name: "datapath",
  timeoutMs: 2_000,
  async run({ options, database, module }) {
    const name = "datapath";
    const wanted = options.datapath;
    const noModule = module === "missing";
    const load = "modprobe openvswitch (and apt-get install linux-image-amd64 where the kernel has no such module)";
    if (wanted === "system" && noModule)
      return [
        fail(name, "--datapath system, and this kernel has no module openvswitch", `${load}, or --datapath netdev`),
      ];
    const choice = database?.choice ?? null;
    if (choice === null) {
      const why =
        database === null ? "Open vSwitch's database was not read" : "ovs-vswitchd has not told what it can do";
      return [unknown(name, `which datapath is used is not known: ${why}`, START)];
    }
    if (choice.type === "system") {
      const state = module === "loadable" ? "its module is there and not loaded yet" : choice.because;
      if (module === "unknown")
        return [
          unknown(name, "kernel datapath, and whether the module is there is not known", "lsmod | grep openvswitch"),
        ];
      return [ok(name, `kernel datapath (${state})`)];
    }
    if (wanted === "netdev") return [ok(name, `userspace datapath (configured); ${NO_OFFLOAD}`)];
    const advice = `for the kernel's, which is faster: ${load}; if userspace is wanted, --datapath netdev; ${NO_OFFLOAD}`;
    return [warn(name, `userspace datapath: ${choice.because}`, advice)];
  },
};

export const integrationBridge: Check = {
  name: "bridge",
  timeoutMs: 5_000,
  async run(at, probes) {
    const name = "bridge";
    const { database, bridge } = at;
    if (database === null)
      return [unknown(name, `whether bridge ${bridge} is there is not known: the database was not read`, START)];
    if (database.blocked.length > 0)
      return database.blocked.map((what) =>
        fail(name, `the agent waits for ${what}`, `ovs-vsctl show; ovs-vsctl del-br ${bridge} removes a bridge`),
      );
    const found = database.bridges.find((b) => b.name === bridge);
    if (found === undefined) {
      const advice = "nothing, if the agent never ran here; else systemctl status midotrace-agent";
      return [warn(name, `there is no bridge ${bridge}; the agent makes it when it starts`, advice)];
    }
    if (!found.ours) {
      const advice = `ovs-vsctl del-br ${bridge} if nobody needs it, or name another by --bridge: the agent takes it over as it is`;
      return [warn(name, `bridge ${bridge} is there, and no agent made it`, advice)];
    }
    const findings: Finding[] = [];
    for (const port of found.ports) {
      if (port.error === null) continue;
      findings.push(
        fail(
          name,
          `port ${port.name} of ${bridge}: ${port.error}`,
          `ip link show ${port.name}; ovs-vsctl list Interface ${port.name}`,
        ),
      );
    }
    const wanted = database.choice?.type ?? found.datapathType;
    if (wanted !== found.datapathType)
      findings.push(
        warn(
          name,
          `bridge ${bridge} is of the datapath ${found.datapathType}, and ${wanted} is configured`,
          "the agent changes it when it starts, which interrupts traffic for a moment: plan it, or change --datapath",
        ),
      );
    if (at.daemonRuns) {
      const silent = await probes.management();
      if (silent !== null)
        findings.push(
          fail(
            name,
            `bridge ${bridge} takes no OpenFlow connection: ${silent}`,
            `ovs-vsctl get Bridge ${bridge} protocols; systemctl restart openvswitch-switch`,
          ),
        );
    } else
      findings.push(
        unknown(
          name,
          `whether bridge ${bridge} takes OpenFlow connections is not known: ovs-vswitchd does not run`,
          START,
        ),
      );
    if (findings.length === 0)
      findings.push(ok(name, `bridge ${bridge} is the agent's, with ${found.ports.length} ports`));
    return findings;
  },
};

export const SWITCH_CHECKS: readonly Check[] = [switchDaemon, switchDatabase, datapath, integrationBridge];
