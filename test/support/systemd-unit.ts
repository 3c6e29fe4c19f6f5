/** Unit files as far as tests go by them: systemd.syntax(7), systemd.exec(5). */
import { readFileSync } from "node:fs";

export interface Unit {
  /** Every assignment of a section's key, in order. */
  all(section: string, key: string): readonly string[];
  /** The last one. @throws when there is none. */
  one(section: string, key: string): string;
}

export function readUnit(file: string): Unit {
  const values = new Map<string, string[]>();
  let section = "";
  for (const raw of readFileSync(file, "utf8").split("\n")) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const heading = /^\[(\w+)\]$/.exec(line)?.[1];
    if (heading !== undefined) {
      section = heading;
      continue;
    }
    const at = line.indexOf("=");
    if (at < 1 || section === "") throw new Error(`${file}: not understood: ${line}`);
    const key = `${section} ${line.slice(0, at)}`;
    values.set(key, [...(values.get(key) ?? []), line.slice(at + 1)]);
  }
  const all = (inSection: string, key: string): readonly string[] => values.get(`${inSection} ${key}`) ?? [];
  return {
    all,
    one: (inSection, key) => {
      const value = all(inSection, key).at(-1);
      if (value === undefined) throw new Error(`${file}: there is no ${key} in [${inSection}]`);
      return value;
    },
  };
}

/**
 * The command line that a service is, with what its unit takes from it: capabilities and new privileges. What only
 * systemd can do (file system and system call filters, other users) is left out.
 *
 * @param credentials where its credentials lie.
 */
export function serviceCommand(unit: Unit, credentials: string): string[] {
  const words = unit.one("Service", "ExecStart").replaceAll("${CREDENTIALS_DIRECTORY}", credentials).split(" ");
  const kept = unit
    .one("Service", "CapabilityBoundingSet")
    .split(" ")
    .filter((c) => c !== "");
  const bounding = ["-all", ...kept.map((c) => `+${c.replace(/^CAP_/, "").toLowerCase()}`)].join(",");
  const privileges = unit.one("Service", "NoNewPrivileges") === "yes" ? ["--no-new-privs"] : [];
  return ["setpriv", `--bounding-set=${bounding}`, ...privileges, ...words];
}
