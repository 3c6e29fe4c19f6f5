import { spawn } from "node:child_process";
import { connect } from "node:net";
import { toolEnvironment } from "./command.ts";

/** How long a server may take to answer `srvr`, ms. */
const ANSWER_MS = 1000;

/** For where this process cannot connect itself: another network namespace. */
const PROBE = `
const [host, port] = process.argv.slice(1);
const socket = require("node:net").connect({ host, port: Number(port), timeout: ${ANSWER_MS} });
socket.on("error", () => {}).on("timeout", () => socket.destroy()).pipe(process.stdout);
socket.end("srvr");
`;

/**
 * What a server says to the four-letter command `srvr`: several lines, `Mode: …` among them only when it serves clients
 * (`ruok` is answered long before). Empty: it does not answer.
 */
export function askSrvr(host: string, port: number, prefix: readonly string[]): Promise<string> {
  return prefix.length === 0 ? askHere(host, port) : askThere(host, port, prefix);
}

function askHere(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ host, port, timeout: ANSWER_MS });
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
    });
    socket.on("timeout", () => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", () => resolve(text));
    socket.end("srvr");
  });
}

function askThere(host: string, port: number, prefix: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    const [command, ...args] = [...prefix, process.execPath, "-e", PROBE, host, String(port)];
    const child = spawn(command, args, { env: toolEnvironment(), stdio: ["ignore", "pipe", "ignore"] });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
    });
    child.on("error", () => resolve(""));
    child.on("close", () => resolve(text));
  });
}
