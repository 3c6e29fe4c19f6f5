import { createConnection } from "node:net";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Scheduler } from "#core/base";
import { decodeRpc, describeError, encodeRequest, JsonTexts, Malformed } from "#protocols/ovsdb";

/** Pid of the switch daemon by its pid file; null when there is none. The process may be dead. */
export async function switchPid(runDir: string): Promise<number | null> {
  const text = await readFile(join(runDir, "ovs-vswitchd.pid"), "utf8").catch(() => "");
  const pid = Number(text);
  return Number.isInteger(pid) && pid > 0 ? pid : null;
}

const ANSWER_MS = 2000;

export type SwitchCommand = readonly [method: string, ...args: string[]];

export interface CommandReplies {
  /** What the daemon answered, command by command, as far as it came. */
  readonly texts: readonly string[];
  /** Why the remaining commands were not done; null: all were. */
  readonly trouble: string | null;
}

/**
 * Commands to the running switch daemon, as ovs-appctl gives them (ovs-vswitchd(8)): one connection for all, one command
 * after the other.
 */
export async function controlSwitch(
  runDir: string,
  scheduler: Scheduler,
  commands: readonly SwitchCommand[],
): Promise<CommandReplies> {
  if (commands.length === 0) return { texts: [], trouble: null };
  const pid = await switchPid(runDir);
  if (pid === null) return { texts: [], trouble: "ovs-vswitchd has no pid file" };
  return new Promise((resolve) => {
    const socket = createConnection(join(runDir, `ovs-vswitchd.${pid}.ctl`));
    const frames = new JsonTexts();
    const texts: string[] = [];
    const end = (trouble: string | null): void => {
      timer.cancel();
      socket.destroy();
      resolve({ texts, trouble });
    };
    const timer = scheduler.after(ANSWER_MS, () => end("ovs-vswitchd does not answer"));
    const ask = (): void => {
      const command = commands[texts.length];
      if (command === undefined) return end(null);
      const [method, ...args] = command;
      socket.write(encodeRequest(texts.length, method, args));
    };
    socket.on("connect", ask);
    socket.on("error", (error) => end(error.message));
    socket.on("close", () => end("ovs-vswitchd closed the connection"));
    socket.on("data", (chunk: Buffer) => {
      for (const text of frames.push(chunk)) {
        const message = text instanceof Malformed ? text : decodeRpc(text);
        if (message instanceof Malformed) return end(message.reason);
        if (message.kind !== "reply" || message.id !== texts.length)
          return end("ovs-vswitchd sent something unexpected");
        if (message.error !== null) return end(`${commands[texts.length]?.[0]}: ${describeError(message.error)}`);
        texts.push(typeof message.result === "string" ? message.result : "");
        ask();
      }
    });
  });
}
