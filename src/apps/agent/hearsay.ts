import type { Cancel, HostId, PortId, Scheduler } from "#core/base";

/** How long other hosts have to say again what they had said, ms: as long as a session lasts without them. */
export const GRACE_MS = 10_000;

/**
 * What other hosts say of the moment (ports that are up, learned addresses) ends with their sessions. When this host has
 * lost its own session, the others have often lost theirs by the same cause: a store that was restored, or cut off. What
 * they had said counts until they have had time to say it again, so that not all traffic stops for the fraction of a
 * second in which some are back and others are not.
 */
export class Hearsay {
  private readonly scheduler: Scheduler;
  private readonly host: HostId;
  private readonly isUpHere: (port: PortId) => boolean;
  private readonly ended: () => void;
  /** "port host" of what was last said to be up. */
  private readonly up = new Set<string>();
  private lenient = false;
  private timer: Cancel | null = null;

  /** @param ended what is absent is to be taken for gone from now on: it must be read again. */
  constructor(scheduler: Scheduler, host: HostId, isUpHere: (port: PortId) => boolean, ended: () => void) {
    this.scheduler = scheduler;
    this.host = host;
    this.isUpHere = isUpHere;
    this.ended = ended;
  }

  /** Whether what is absent from the store counts as being there still. */
  get counts(): boolean {
    return this.lenient;
  }

  sessionLost(): void {
    this.lenient = true;
    this.stop();
  }

  connected(): void {
    if (!this.lenient || this.timer !== null) return;
    this.timer = this.scheduler.after(GRACE_MS, () => {
      this.timer = null;
      this.lenient = false;
      this.ended();
    });
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  /** Whether the port is up on the host; `said`: whether the store says so. Of its own ports a host knows by itself. */
  isUp(port: PortId, host: HostId, said: boolean): boolean {
    const name = `${port} ${host}`;
    const up = said || (host === this.host ? this.isUpHere(port) : this.lenient && this.up.has(name));
    if (up) this.up.add(name);
    else this.up.delete(name);
    return up;
  }
}
