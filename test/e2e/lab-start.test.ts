import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePrometheusText } from "../support/prometheus-text.ts";
import { Program, ran } from "./lab-child.ts";

const QUIET = ["lab", "--listen", "127.0.0.1:0", "--ephemeral"];

test("the lab shows its first traced flow from both hosts, serves its users, and stops cleanly", async (t) => {
  const lab = new Program(QUIET);
  t.after(() => lab.kill());
  const tree = await lab.seen(/First traced flow\n[^]*?complete: [^\n]*reported\n/);
  assert.match(tree[0], /DELIVERED to port red-db\/red-3 on host host-b/);
  assert.match(tree[0], /ICMP 10\.0\.1\.10 > 10\.0\.2\.2 id/);
  const [ingress, egress] = tree[0].split(/host host-b {2}egress/);
  assert.match(ingress ?? "", /host host-a {2}ingress[^]*router red-router[^]*Time to live 64 > 63[^]*on the wire 0x8/);
  assert.match(egress ?? "", /Delivered to interface red-3/);
  assert.ok(!lab.out.includes("\u001b["), "no colours where there is no terminal");
  assert.match(lab.out, /4 bridges, 2 routers, 17 ports, 3 chains/);
  const [, url = ""] = await lab.seen(/API +(\S+)\/midonet-api/);

  const page = parsePrometheusText(await (await fetch(`${url}/metrics`)).text());
  const ready = page.get("midotrace_agent_ready")?.samples.map((s) => [s.labels["host"], s.value]);
  assert.deepEqual(ready, [
    ["host-a", 1],
    ["host-b", 1],
    ["host-c", 1],
  ]);

  const flows = await ran("trace", "flows", "example", "--api", url);
  assert.deepEqual([flows.code, flows.err], [0, ""]);
  assert.match(flows.out, /delivered +complete +- +ICMP 10\.0\.1\.10 > 10\.0\.2\.2/);

  const again = await ran("topology", "apply", "-f", "examples/example.yaml", "--api", url);
  assert.equal(again.code, 0, again.err);
  assert.match(again.out, /^0 created, 0 changed, \d+ left as they were\n$/);

  const packet = "tcp 10.0.1.10:4000 > 10.0.2.2:22";
  const what = await ran("simulate", "--port", "red-web/red-1", "--packet", packet, "--api", url);
  assert.equal(what.code, 0, what.err);
  assert.match(what.out, /^✗ DROPPED [^\n]*red-db-guard[^]*simulated: no packet was sent\n$/);

  const argv = ["trace", "create", "--router", "red-router", "--match", "tcp", "--limit", "9007199254740993"];
  const followed = await ran(...argv, "--follow", "--count", "1", "--json", "--api", url);
  assert.equal(followed.code, 0, followed.err);
  const flow = JSON.parse(followed.out) as { key: { networkProto: number }; completeness: { state: string } };
  assert.deepEqual([flow.key.networkProto, flow.completeness.state], [6, "complete"]);
  assert.match((await ran("trace", "list", "--api", url)).out, /enabled +9007199254740993 +\d+ +\S+ \S+ +tcp/);

  const second = await ran("lab", "--listen", url.replace("http://", ""));
  assert.equal(second.code, 1);
  assert.match(second.err, /is in use already.*--listen/);
  assert.equal(second.out, "");

  lab.signal("SIGTERM");
  assert.equal(await lab.ended, 0);
  assert.equal(lab.err, "");
});

test("colours where they are wanted; Ctrl+C ends it too", async (t) => {
  const lab = new Program([...QUIET, "--no-traffic"], { FORCE_COLOR: "1" });
  t.after(() => lab.kill());
  await lab.seen(/Ctrl\+C/);
  assert.ok(lab.out.includes("\u001b[1mmidotrace lab\u001b[0m"));
  assert.match(lab.out, /off: the VMs only answer/);
  lab.signal("SIGINT");
  assert.equal(await lab.ended, 0);
});

test("a real capture: every frame is accounted for, and each of its flows ended with a reason in a trace", async (t) => {
  const capture = "test/fixtures/captures/real-kernel.pcap";
  const lab = new Program([...QUIET, "--no-traffic", "--replay", `red-web/red-1=${capture}`, "--replay-speed", "max"]);
  t.after(() => lab.kill());
  const [, frames] = await lab.seen(/Replayed (\d+) frames\n/);
  await lab.seen(/VERDICT +PACKETS/);
  const [, simulated, hits] = await lab.seen(/(\d+) packets? simulated, (\d+) served/);
  assert.ok(Number(simulated) + Number(hits) >= Number(frames));
  const [, url = ""] = await lab.seen(/API +(\S+)\/midonet-api/);
  const listed = await ran("trace", "flows", "replay into red-web/red-1", "--limit", "1000", "--json", "--api", url);
  assert.equal(listed.code, 0, listed.err);
  const flows = JSON.parse(listed.out) as { verdict: string; dropReason: string | null; why: string }[];
  assert.ok(flows.length > 10, String(flows.length));
  for (const { verdict, dropReason, why } of flows) {
    assert.notEqual(verdict, "unknown", why);
    if (!["delivered", "flooded", "consumed"].includes(verdict)) assert.ok(dropReason !== null, why);
  }
  lab.signal("SIGTERM");
  assert.equal(await lab.ended, 0);
  assert.equal(lab.err, "");
});

test("usage: what cannot be is refused with exit code 2, before anything starts", async () => {
  const refused = async (says: RegExp, ...argv: string[]): Promise<void> => {
    const { code, out, err } = await ran("lab", ...argv);
    assert.deepEqual([code, out], [2, ""], err);
    assert.match(err, says);
  };
  await refused(/--replay is for the lab in one process/, "--ovs", "--replay", "red-web/red-1=x.pcap");
  await refused(/--insecure/, "--listen", "0.0.0.0:0");
  await refused(/--listen is ADDRESS:PORT/, "--listen", "nowhere");
  await refused(/--replay takes PORT=FILE/, "--replay", "x");
  const missing = await ran("lab", "--listen", "127.0.0.1:0", "--replay", "red-web/red-9=x.pcap");
  assert.equal(missing.code, 1);
  assert.match(missing.err, /there is no port red-web\/red-9/);
});
