import type { Scheduler } from "#core/base";
import type { DatapathListener, DatapathPort, FlowRemoved, PacketIn } from "#core/datapath";
import { Pump } from "./pump.ts";

type Letter =
  | { readonly kind: "packet"; readonly packet: PacketIn }
  | { readonly kind: "removed"; readonly removed: FlowRemoved }
  | { readonly kind: "port"; readonly name: string; readonly port: DatapathPort | null };

/** What the switch has to tell its listener, in order. Only packets can be too many: the rest is bounded by what is installed. */
export class Mailbox {
  private readonly listener: DatapathListener;
  private readonly maxPackets: number;
  private readonly pump: Pump<Letter>;
  private packets = 0;

  constructor(scheduler: Scheduler, listener: DatapathListener, maxPackets: number) {
    this.listener = listener;
    this.maxPackets = maxPackets;
    this.pump = new Pump(scheduler, (letter) => this.deliver(letter));
  }

  /** @returns false when the queue is full and the packet is lost. */
  packetIn(packet: PacketIn): boolean {
    if (this.packets >= this.maxPackets) return false;
    this.packets++;
    this.pump.push({ kind: "packet", packet });
    return true;
  }

  flowRemoved(removed: FlowRemoved): void {
    this.pump.push({ kind: "removed", removed });
  }

  portChanged(name: string, port: DatapathPort | null): void {
    this.pump.push({ kind: "port", name, port });
  }

  /** Nothing is delivered any more. */
  close(): void {
    this.pump.clear();
  }

  private deliver(letter: Letter): void {
    switch (letter.kind) {
      case "packet":
        this.packets--;
        this.listener.packetIn(letter.packet);
        break;
      case "removed":
        this.listener.flowRemoved(letter.removed);
        break;
      case "port":
        this.listener.portChanged(letter.name, letter.port);
        break;
    }
  }
}
