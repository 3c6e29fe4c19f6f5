import type { Io } from "#apps/cli/options";
import type { Scheduler } from "#core/base";
import { enableTrace } from "./example-trace.ts";
import type { Lab } from "./lab.ts";
import { outcomeText, type Tally, tally } from "./outcome.ts";
import { loadCapture, Replay, type ReplaySpec, type ReplaySpeed } from "./replay.ts";
import { type Paint, plural } from "./screen.ts";

/** Packets that wait for ARP have their verdict by then (three requests, a second apart). */
const LAST_VERDICT_MS = 4_000;

/**
 * Replays captures into their ports, each port with a trace request of its own, so that every frame that is not
 * delivered has its reason in a trace; says what became of them at the end.
 * @throws MidotraceError for a port or file that is not there, before the first frame.
 */
export async function beginReplays(
  lab: Lab,
  specs: readonly ReplaySpec[],
  { speed, scheduler }: { readonly speed: ReplaySpeed; readonly scheduler: Scheduler },
  io: Io,
  paint: Paint,
): Promise<{ stop(): void }> {
  const loaded = await Promise.all(
    specs.map(async ({ port, file }) => ({ file, port: lab.port(port), ...(await loadCapture(file)) })),
  );
  const before = tally(lab);
  const replays: Replay[] = [];
  const done: Promise<void>[] = [];
  let reported = false;
  for (const { file, port, frames, warning } of loaded) {
    if (warning !== null) io.err(`warning: ${warning}; the ${plural(frames.length, "frame")} before that are used\n`);
    const name = `replay into ${port.name}`;
    await enableTrace(lab.url, { name, deviceType: "PORT", deviceId: port.id, condition: "any" });
    const replay = new Replay({ frames, speed, scheduler, send: (frame) => port.wire.send(frame) });
    io.out(
      `\n  Replaying ${plural(frames.length, "frame")} of ${file} into ${port.name} ${paint("faint", `(trace "${name}")`)}\n`,
    );
    replays.push(replay);
    done.push(replay.run());
  }
  const report = (): void => {
    if (reported || replays.length === 0) return;
    reported = true;
    const injected = replays.reduce((n, r) => n + r.injected, 0);
    io.out(`\n${paint("strong", `Replayed ${plural(injected, "frame")}`)}\n${summary(before, tally(lab), paint)}`);
  };
  let timer: { cancel(): void } | null = null;
  const reportSoon = async (): Promise<void> => {
    await Promise.all(done);
    timer = scheduler.after(LAST_VERDICT_MS, report);
  };
  void reportSoon();
  return {
    stop: () => {
      timer?.cancel();
      for (const replay of replays) replay.stop();
      report();
    },
  };
}

function summary(before: Tally, after: Tally, paint: Paint): string {
  return `${outcomeText(before, after, paint)}  ${paint("faint", "Counted over all hosts, answers and the lab's own traffic included; --no-traffic leaves only the replay.")}\n`;
}
