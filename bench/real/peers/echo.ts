import { createServer } from "node:net";

/*
 * The least that a controller in Node can do: to each packet-in a flow-mod (as long as one of ours, always the same) and a
 * packet-out with the frame, nothing looked at or kept. What no agent in one thread can be faster than. A process of its own.
 * argv: the port of 127.0.0.1 to listen on. OpenFlow 1.3.
 */

const HELLO = Buffer.from([4, 0, 0, 8, 0, 0, 0, 1]);
const FEATURES_REQUEST = Buffer.from([4, 5, 0, 8, 0, 0, 0, 2]);
const PACKET_IN = 10;
/** Of a packet-in with a match that has the in-port only: where the frame begins. */
const FRAME_AT = 42;
/** Bytes of a flow-mod of our agent for a TCP conversation on a routed path, with its actions. */
const FLOW_MOD_BYTES = 224;

const flowMod = Buffer.alloc(FLOW_MOD_BYTES);
flowMod.set([4, 14, FLOW_MOD_BYTES >> 8, FLOW_MOD_BYTES & 255]);
flowMod.writeUInt16BE(60, 26);

/** Header of a packet-out with one action: to port 10. */
const packetOut = Buffer.alloc(40);
packetOut.set([4, 13]);
packetOut.writeUInt32BE(0xffff_ffff, 8);
packetOut.writeUInt32BE(1, 12);
packetOut.writeUInt16BE(16, 16);
packetOut.writeUInt16BE(16, 26);
packetOut.writeUInt32BE(10, 28);

const server = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.write(Buffer.concat([HELLO, FEATURES_REQUEST]));
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    const b = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const out = Buffer.allocUnsafe(b.length * 6);
    let used = 0;
    let at = 0;
    while (b.length - at >= 8) {
      const length = ((b[at + 2] as number) << 8) | (b[at + 3] as number);
      if (b.length - at < length) break;
      if (b[at + 1] === PACKET_IN) {
        out.set(flowMod, used);
        used += FLOW_MOD_BYTES;
        out.set(packetOut, used);
        const total = packetOut.length + length - FRAME_AT;
        out.writeUInt16BE(total, used + 2);
        b.copy(out, used + packetOut.length, at + FRAME_AT, at + length);
        used += total;
      }
      at += length;
    }
    rest = b.subarray(at);
    if (used > 0) socket.write(out.subarray(0, used));
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1");
