/*
 * What the lab's VMs answer with besides what their kernel does: TCP connections on the ports of the command line are
 * greeted and closed, UDP datagrams to port 7 are sent back (RFC 862). Runs inside a VM until it is ended.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

const UDP_ECHO_PORT = 7;
const [ports = ""] = process.argv.slice(2);

for (const port of ports.split(",").filter((p) => p !== "")) {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.end(`this is port ${port}\n`);
  });
  server.listen(Number(port), "0.0.0.0");
}

const echo = createSocket("udp4");
echo.on("message", (data, from) => echo.send(data, from.port, from.address));
echo.bind(UDP_ECHO_PORT, "0.0.0.0");
