import { type NetworkNamespace, until } from "#adapters/testbed";
import { RawFrames } from "./raw-frames.ts";

/** Everything that arrives at the eth0 of some VMs, as frames; none of what they send. */
export class VmWatch {
  private readonly inside = new Map<string, RawFrames>();
  private readonly open = new Map<string, { readonly id: number; readonly frames: Buffer[] }>();

  static async start(vms: Readonly<Record<string, NetworkNamespace>>): Promise<VmWatch> {
    const watch = new VmWatch();
    for (const [name, namespace] of Object.entries(vms)) watch.inside.set(name, await RawFrames.start(namespace));
    return watch;
  }

  async stop(): Promise<void> {
    for (const frames of this.inside.values()) await frames.stop();
  }

  /** Watches while `act` runs. */
  async during<T>(act: () => Promise<T>): Promise<T> {
    for (const [name, raw] of this.inside) {
      const frames: Buffer[] = [];
      this.open.set(name, { id: await raw.open("eth0", (frame) => frames.push(Buffer.from(frame))), frames });
    }
    try {
      return await act();
    } finally {
      for (const [name, { id }] of this.open) this.inside.get(name)?.close(id);
      this.open.clear();
    }
  }

  /** Puts a whole frame on a VM's wire. */
  send(vm: string, frame: Uint8Array): void {
    this.inside.get(vm)?.send(this.seenBy(vm).id, frame);
  }

  /** Frames that hold `text`, until now. */
  async with(vm: string, text: string): Promise<readonly Buffer[]> {
    await this.inside.get(vm)?.sync();
    return this.seenBy(vm).frames.filter((f) => f.includes(text));
  }

  /** The first frame that holds `text`; sent after others on the same way, it comes after them. */
  until(vm: string, text: string): Promise<Buffer> {
    return until(`${text} at ${vm}`, 15_000, async () => (await this.with(vm, text))[0] ?? null);
  }

  private seenBy(vm: string): { readonly id: number; readonly frames: Buffer[] } {
    const seen = this.open.get(vm);
    if (seen === undefined) throw new Error(`nobody watches ${vm} now`);
    return seen;
  }
}
