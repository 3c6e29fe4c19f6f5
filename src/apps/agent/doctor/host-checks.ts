import { join } from "node:path";
import { type HostId, isUuid } from "#core/base";
import type { Check } from "./examination.ts";
import { fail, type Finding, ok, unknown, warn } from "./finding.ts";

/** Node.js 24 is built for this kernel and later ones. */
const OLDEST_KERNEL = [4, 18] as const;

export const kernel: Check = {
  name: "kernel",
  timeoutMs: 2_000,
  async run(_at, probes) {
    const release = probes.kernelRelease();
    const [major = 0, minor = 0] = release.split(".").map((n) => Number.parseInt(n, 10));
    const [oldMajor, oldMinor] = OLDEST_KERNEL;
    if (major > oldMajor || (major === oldMajor && minor >= oldMinor)) return [ok("kernel", `kernel ${release}`)];
    const advice = `upgrade the kernel: Node.js 24 is built for ${oldMajor}.${oldMinor} and later`;
    return [warn("kernel", `kernel ${release} is old`, advice)];
  },
};

/** Others than the owner may write. */
const WRITABLE_BY_OTHERS = 0o022;

export const stateDirectory: Check = {
  name: "state directory",
  timeoutMs: 2_000,
  async run(at, probes) {
    const path = at.options["state-dir"];
    const name = "state directory";
    const facts = probes.directory(path);
    const findings: Finding[] = [];
    if (facts === null) {
      const advice = `nothing, if the agent never ran here; else mkdir -m 750 ${path}, or name it by --state-dir`;
      findings.push(warn(name, `there is no state directory ${path}; the agent makes it when it starts`, advice));
    } else if (!facts.isDirectory) {
      findings.push(fail(name, `${path} is no directory`, `rm ${path} && mkdir -m 750 ${path}`));
    } else {
      if (facts.unwritable !== null)
        findings.push(
          fail(
            name,
            `nothing can be written in ${path} (${facts.unwritable})`,
            `check its file system: findmnt -T ${path}`,
          ),
        );
      const user = probes.userId();
      if (facts.uid !== user)
        findings.push(
          warn(name, `${path} belongs to user ${facts.uid}, and this is user ${user}`, `chown -R ${user} ${path}`),
        );
      if ((facts.mode & WRITABLE_BY_OTHERS) !== 0) {
        const mode = facts.mode.toString(8);
        findings.push(warn(name, `others may write in ${path} (mode ${mode})`, `chmod 750 ${path}`));
      }
      if (findings.length === 0) findings.push(ok(name, `state directory ${path} can be written`));
    }
    return findings;
  },
};

/** Which host this is: given, or kept in the state directory. */
export const hostIdentity: Check = {
  name: "host id",
  timeoutMs: 2_000,
  async run(at, probes) {
    const name = "host id";
    const file = join(at.options["state-dir"], "host-id");
    const given = at.options["host-id"];
    const kept = probes.readText(file)?.trim() ?? null;
    const id = (given ?? kept)?.toLowerCase() ?? null;
    if (id === null) {
      const advice = "start the agent once (systemctl start midotrace-agent), or give --host-id";
      return [unknown(name, `this host has no id yet: ${file} is not there`, advice)];
    }
    if (!isUuid(id)) {
      const where = given === null ? file : "--host-id";
      return [fail(name, `${where} is ${JSON.stringify(id)}, which is no UUID`, `put a UUID there: uuidgen`)];
    }
    at.hostId = id as HostId;
    if (given !== null && kept !== null && kept.toLowerCase() !== id) {
      const advice = "take --host-id away to stay the host it was; its ports stay bound to the old id otherwise";
      return [warn(name, `this host was ${kept} before, and --host-id says ${id}`, advice)];
    }
    return [ok(name, `this is host ${id}`)];
  },
};
