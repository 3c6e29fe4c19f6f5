import type { ChildProcess } from "node:child_process";
import { answering, at, cpuNs, forked, freePort, heard, spawned, told } from "./processes.ts";
import type { Order, Outcome } from "./emulated-switch.ts";
import type { Scope } from "./scope.ts";

/** A core each, so that nobody is slowed by the other's work. */
const CONTROLLER = { core: 0 };
const SWITCH = { core: 1 };

export interface Measured extends Outcome {
  /** Of the controller, all its threads, per answer, microseconds. */
  readonly cpuUs: number;
}

/** A controller under test and the emulated switch that asks it. */
export class Contestant {
  readonly name: string;
  readonly controller: ChildProcess;
  private readonly emulated: ChildProcess;

  private constructor(name: string, controller: ChildProcess, emulated: ChildProcess) {
    this.name = name;
    this.controller = controller;
    this.emulated = emulated;
  }

  /** Our agent: it connects to the switch. @param tableSize flows that the switch holds. @param how see agent-process.ts. */
  static async agent(scope: Scope, name: string, tableSize = 50_000, how: "" | "simulate" = ""): Promise<Contestant> {
    const port = await freePort();
    const listen = ["listen", "127.0.0.1", String(port), String(tableSize)];
    const emulated = forked(scope, "./emulated-switch.ts", listen, SWITCH);
    await told(emulated, "listening");
    const controller = forked(scope, "./agent-process.ts", [`tcp:127.0.0.1:${port}`, how], CONTROLLER);
    await Promise.all([told(emulated, "ready"), told(controller, "ready")]);
    return new Contestant(name, controller, emulated);
  }

  /** Open vSwitch's learning switch in C, a flow per conversation. */
  static testController(scope: Scope, name: string): Promise<Contestant> {
    return Contestant.listening(scope, name, testController);
  }

  /** A learning switch in Python, a flow per pair of MACs. */
  static osKen(scope: Scope, name: string): Promise<Contestant> {
    const command = (port: number): [string, ...string[]] => {
      const listen = ["--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", String(port)];
      return ["osken-manager", ...listen, at("./peers/learning_switch.py")];
    };
    return Contestant.listening(scope, name, command);
  }

  /** What no controller in one thread of Node is faster than. */
  static echo(scope: Scope, name: string): Promise<Contestant> {
    const command = (port: number): [string, ...string[]] => [process.execPath, at("./peers/echo.ts"), String(port)];
    return Contestant.listening(scope, name, command);
  }

  /** A controller that waits for switches, as those for OpenFlow do. */
  private static async listening(
    scope: Scope,
    name: string,
    command: (port: number) => [string, ...string[]],
  ): Promise<Contestant> {
    const port = await freePort();
    const controller = spawned(scope, command(port), CONTROLLER);
    await answering(port);
    const emulated = forked(scope, "./emulated-switch.ts", ["connect", "127.0.0.1", String(port)], SWITCH);
    await told(emulated, "ready");
    return new Contestant(name, controller, emulated);
  }

  async run(order: Order): Promise<Measured> {
    const pid = this.controller.pid as number;
    const before = cpuNs(pid);
    this.emulated.send(order);
    const outcome = await heard<Outcome>(this.emulated);
    return { ...outcome, cpuUs: (cpuNs(pid) - before) / 1000 / Math.max(1, outcome.answers) };
  }
}

/** Open vSwitch's own controller, listening on 127.0.0.1. */
export const testController = (port: number): [string, ...string[]] => {
  // No control socket: one would be left behind, and nobody needs it.
  const quiet = ["--unixctl=none", "-vconsole:off", "-vsyslog:off"];
  return ["ovs-testcontroller", `ptcp:${port}:127.0.0.1`, "-O", "OpenFlow13", ...quiet];
};
