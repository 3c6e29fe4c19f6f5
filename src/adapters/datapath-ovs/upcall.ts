import type { PacketIn } from "#core/datapath";
import { FlowMatch, parseFlowMatch } from "#core/flows";
import type { PacketInMessage } from "#protocols/openflow";

/** The packet that came up last, where it lies in what was read; its frame is copied when somebody asks for it. */
export class Upcall implements PacketIn {
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  readonly match = new FlowMatch();
  private copy: Uint8Array | null = null;

  begin(message: PacketInMessage, bytes: Uint8Array): void {
    const { match } = this;
    this.bytes = bytes;
    this.start = message.frameStart;
    this.end = message.frameEnd;
    this.copy = null;
    match.inPort = message.inPort;
    match.tunnelKey = message.tunnelKey;
    match.tunnelSrc = message.tunnelSrc;
    match.tunnelDst = message.tunnelDst;
    parseFlowMatch(bytes, match, this.start, this.end);
  }

  get frame(): Uint8Array {
    this.copy ??= this.bytes.slice(this.start, this.end);
    return this.copy;
  }

  get inPort(): number {
    return this.match.inPort;
  }

  get tunnelKey(): number {
    return this.match.tunnelKey;
  }

  get tunnelSrc(): number {
    return this.match.tunnelSrc;
  }

  get tunnelDst(): number {
    return this.match.tunnelDst;
  }
}
