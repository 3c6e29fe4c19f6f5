import { fileURLToPath } from "node:url";

/** This program's files are TypeScript in a checkout and JavaScript in an installed package. */
const SOURCE = import.meta.url.endsWith(".ts");
const EXTENSION = SOURCE ? "ts" : "js";
const NODE = [process.execPath, ...(SOURCE ? ["--conditions=source"] : [])] as const;

const file = (path: string): string => fileURLToPath(new URL(`${path}.${EXTENSION}`, import.meta.url));

/** The command line of `midotrace …`, by the Node that runs this. */
export function midotrace(...args: readonly string[]): [string, ...string[]] {
  return [...NODE, file("../../cli/main"), ...args] as unknown as [string, ...string[]];
}

/** The services of a VM. */
export function vmServices(tcpPorts: readonly number[]): [string, ...string[]] {
  return [...NODE, file("./vm-services"), tcpPorts.join(",")] as unknown as [string, ...string[]];
}
