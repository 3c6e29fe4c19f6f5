/** Makes a testbed with everything in it, says so, and then does nothing until it is killed. argv: the registry's directory. */
import { mkdirSync } from "node:fs";
import { OvsHost, run, Testbed, Underlay, VmNamespace } from "#adapters/testbed";

const root = process.argv[2] ?? "";
mkdirSync(root, { recursive: true });
const testbed = await Testbed.create({ root });
const underlay = await Underlay.create(testbed);
const host = await OvsHost.create(testbed, underlay, { name: "a", tunnelAddress: "192.168.10.1/24" });
const vm = await VmNamespace.create(testbed, { name: "vm", host, interfaceName: "tap-a", address: "10.0.0.1/24" });
await testbed.alias(`mtx-${testbed.labId}`, vm.namespace);
await underlay.attach("maker", null, `mt${testbed.labId}`, "02:50:c0:a8:0a:63", "192.168.10.99");
await underlay.capture(`${await testbed.directory("captures")}/all.pcap`);
await vm.spawn("sleep", ["600"], { detached: true });
const { stdout } = await run("sh", ["-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"]);
await testbed.noteProcess("sleep", Number(stdout));
process.stdout.write(`${testbed.labId} ${stdout.trim()}\n`);
setInterval(() => undefined, 60_000);
