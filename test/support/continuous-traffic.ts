/** Probes between VMs that go on while things break, and the list of what was lost. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { endChild, type VmNamespace } from "#adapters/testbed";

const SCRIPT = join(import.meta.dirname, "vm-traffic.py");
const RECORD_BYTES = 16;
const SENT = "s".charCodeAt(0);
/** As in the script: probe n of a fresh stream leaves from `FIRST_PORT + n % PORTS`. */
const FIRST_PORT = 20_000;
const PORTS = 40_000;

/** The clock of the notes: CLOCK_MONOTONIC, which all processes of a machine share, ms. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/**
 * "established": UDP, one 5-tuple for ever. "fresh": UDP, each probe is a conversation of its own. "traced": as fresh, to a
 * port of its own. "tcp": one connection.
 */
export type StreamKind = "established" | "fresh" | "traced" | "tcp";

export const PROBE_PORT: Readonly<Record<StreamKind, number>> = {
  established: 7001,
  fresh: 7002,
  traced: 7004,
  tcp: 7005,
};
/** UDP is taken there and not counted: for conversations that a test holds itself. */
export const CONVERSATION_PORT = 7003;

export interface Stream {
  readonly kind: StreamKind;
  /** Names of VMs. */
  readonly from: string;
  readonly to: string;
}

export interface TrafficVm {
  readonly name: string;
  readonly vm: VmNamespace;
  /** Dotted. */
  readonly ip: string;
}

/** Times are of `monotonicMs`. */
export interface Probe {
  readonly number: number;
  readonly sentMs: number;
  /** Null: it has not come. */
  readonly receivedMs: number | null;
}

/** What became of the probes of a stream that were sent within a window. */
export interface StreamReport {
  readonly stream: Stream;
  readonly probes: readonly Probe[];
  readonly lost: readonly Probe[];
  /** Between two that came one after the other, ms. */
  readonly longestGapMs: number;
}

interface Numbered extends Stream {
  readonly id: number;
}

/** One process in each VM, which sends and listens. */
export class ContinuousTraffic {
  private readonly vms: ReadonlyMap<string, TrafficVm>;
  private readonly streams: readonly Numbered[];
  private readonly directory: string;
  private readonly running = new Map<string, ChildProcess>();

  /** @param directory for the notes; it must exist. */
  constructor(vms: readonly TrafficVm[], streams: readonly Stream[], directory: string) {
    this.vms = new Map(vms.map((vm) => [vm.name, vm]));
    this.streams = streams.map((stream, id) => ({ ...stream, id }));
    this.directory = directory;
  }

  /** Resolves when everybody listens. @param perSecond probes of each stream. */
  async start(perSecond: Readonly<Record<StreamKind, number>>): Promise<void> {
    for (const vm of this.vms.values()) {
      const send = this.streams
        .filter((s) => s.from === vm.name)
        .map(({ id, kind, to }) => {
          const target = this.vms.get(to)?.ip;
          const script = kind === "traced" ? "fresh" : kind;
          return { stream: id, kind: script, to: target, port: PROBE_PORT[kind], perSecond: perSecond[kind] };
        });
      const { established, fresh, traced, tcp } = PROBE_PORT;
      const plan = { listen: [established, fresh, traced, CONVERSATION_PORT], tcp, send };
      const args = [SCRIPT, "run", this.notesOf(vm.name), JSON.stringify(plan)];
      const child = await vm.vm.spawn("python3", args, { stdio: ["ignore", "pipe", "inherit"] });
      this.running.set(vm.name, child);
      const ended = once(child, "exit").then(() => Promise.reject(new Error(`the traffic of ${vm.name} has ended`)));
      await Promise.race([child.stdout === null ? ended : once(child.stdout, "data"), ended]);
      ended.catch(() => undefined);
    }
  }

  /** As if the machine were switched off. */
  async kill(vm: string): Promise<void> {
    const child = this.running.get(vm);
    if (child !== undefined) await endChild(child, "SIGKILL");
  }

  async stop(): Promise<void> {
    for (const child of this.running.values()) await endChild(child, "SIGKILL");
  }

  /** What became of everything that was sent within [`fromMs`, `toMs`), as known now. */
  async report(fromMs: number, toMs: number): Promise<StreamReport[]> {
    const sent = new Map<number, Map<number, number>>();
    const received = new Map<number, Map<number, number>>();
    for (const vm of this.vms.keys()) {
      const notes = await readFile(this.notesOf(vm));
      for (let at = 0; at + RECORD_BYTES <= notes.length; at += RECORD_BYTES) {
        const of = notes[at] === SENT ? sent : received;
        const id = notes.readUInt16BE(at + 2);
        let probes = of.get(id);
        if (probes === undefined) of.set(id, (probes = new Map<number, number>()));
        probes.set(notes.readUInt32BE(at + 4), Number(notes.readBigUInt64BE(at + 8)) / 1e6);
      }
    }
    return this.streams.map((stream): StreamReport => {
      const times = received.get(stream.id);
      const probes: Probe[] = [];
      for (const [number, sentMs] of sent.get(stream.id) ?? [])
        if (sentMs >= fromMs && sentMs < toMs) probes.push({ number, sentMs, receivedMs: times?.get(number) ?? null });
      const came = probes.flatMap((p) => p.receivedMs ?? []).sort((a, b) => a - b);
      const gaps = came.slice(1).map((time, i) => time - (came[i] as number));
      const lost = probes.filter((p) => p.receivedMs === null);
      return { stream, probes, lost, longestGapMs: Math.max(0, ...gaps) };
    });
  }

  private notesOf(vm: string): string {
    return join(this.directory, `${vm}.notes`);
  }
}

export const nameOf = ({ kind, from, to }: Stream): string => `${from} -> ${to} ${kind}`;

/** Source port of a probe of a fresh or traced stream. */
export const sourcePortOf = (probe: Probe): number => FIRST_PORT + (probe.number % PORTS);

/** Both directions of each pair, of each kind. */
export function streamsOf(pairs: readonly (readonly [string, string])[], kinds: readonly StreamKind[]): Stream[] {
  const ways = pairs.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]);
  return kinds.flatMap((kind) => ways.map(([from, to]): Stream => ({ kind, from, to })));
}

/** One line: sent, lost and when (seconds after `zeroMs`), the longest gap and delay. */
export function lineOf({ stream, probes, lost, longestGapMs }: StreamReport, zeroMs: number): string {
  const delays = probes.flatMap((p) => (p.receivedMs === null ? [] : [p.receivedMs - p.sentMs]));
  const slowest = Math.max(0, ...delays).toFixed(0);
  const what = lost.length === 0 ? "0 lost" : `${lost.length} lost (${runsOf(lost, zeroMs).join(", ")})`;
  return `${nameOf(stream)}: ${probes.length} sent, ${what}, longest gap ${longestGapMs.toFixed(0)} ms, slowest ${slowest} ms`;
}

/** Runs of probes that were lost one after the other: "3 at 0.20..0.25 s". */
function runsOf(lost: readonly Probe[], zeroMs: number): string[] {
  const runs: { readonly first: Probe; last: Probe; count: number }[] = [];
  for (const probe of lost) {
    const run = runs.at(-1);
    if (run === undefined || probe.number !== run.last.number + 1) runs.push({ first: probe, last: probe, count: 1 });
    else {
      run.last = probe;
      run.count++;
    }
  }
  const at = (probe: Probe): string => ((probe.sentMs - zeroMs) / 1000).toFixed(2);
  const shown = runs.slice(0, MAX_RUNS).map(({ first, last, count }) => {
    return count === 1 ? `1 at ${at(first)} s` : `${count} at ${at(first)}..${at(last)} s`;
  });
  return runs.length > MAX_RUNS ? [...shown, `and ${runs.length - MAX_RUNS} times more`] : shown;
}

const MAX_RUNS = 8;
