/*
 * Plays docs/guide/installing.md on three machines made of namespaces: each block of commands as it stands there, on the
 * hosts that it is for, with the real paths. What stands in for something real, and nothing else does:
 *
 *   a machine        namespaces of network, processes, files and name; its card eth1 has its address already
 *   npm install -g   this checkout, linked to where it would lie
 *   systemctl        test/support/systemctl.ts: the units' own command lines and capabilities
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { hasCommand, Testbed, testbedMissing, Underlay, zookeeperMissing } from "#adapters/testbed";
import type { PublicFlowTrace } from "#core/tracing";
import { type Block, printed, readGuide } from "../support/guide.ts";
import { GuideMachine, type Played } from "../support/guide-machine.ts";
import { unlessThere } from "../support/zookeeper-kit.ts";

const ROOT = join(import.meta.dirname, "../..");
const HOSTS = ["host-1", "host-2", "host-3"] as const;
const ADDRESSES = ["192.0.2.11", "192.0.2.12", "192.0.2.13"];
/** Blocks that are not played, by their reason: one more of them is a change to this test, too. */
const NOT_PLAYED: Readonly<Record<string, number>> = {
  "it needs the internet": 3,
  "it needs a kernel module": 1,
  "a namespace does not reboot": 1,
};
const BLOCK_MS = 60_000;
/** Of a session of 10 s no less may be left when its agent stops: it says every third of it that it is there. */
const SESSION_LEFT_MS = 6_600;
const TRACES = "http://127.0.0.1:8181/midonet-api/traces";

const guide = readFileSync(join(ROOT, "docs/guide/installing.md"), "utf8");
const sections = readGuide(guide, HOSTS).filter((s) => s.blocks.length > 0);
const blocks = sections.flatMap((s) => s.blocks);

const TOOLS: readonly (readonly [command: string, packageName: string])[] = [
  ["curl", "curl"],
  ["jq", "jq"],
  ["nsenter", "util-linux"],
  ["unshare", "util-linux"],
  ["setpriv", "util-linux"],
];
const tools = TOOLS.filter(([command]) => !hasCommand(command)).map(
  ([command, name]) => `${command} not found: apt-get install ${name}`,
);
const missing = testbedMissing() ?? zookeeperMissing() ?? tools[0] ?? null;

describe("the installing guide", () => {
  it("leaves out only what cannot be played, and says why", () => {
    const counts: Record<string, number> = {};
    for (const b of blocks) if (b.kind === "not played") counts[b.why] = (counts[b.why] ?? 0) + 1;
    assert.deepEqual(counts, { ...NOT_PLAYED });
  });

  it("names packages that Debian has, and scripts that the package has", (t) => {
    const skipped = blocks.flatMap((b) => (b.kind === "not played" ? b.text.split("\n") : []));
    const packages = skipped.flatMap((l) => /^apt-get install -y (.*)$/.exec(l)?.[1]?.split(" ") ?? []);
    assert.ok(packages.includes("openvswitch-switch") && packages.includes("zookeeperd"), packages.join(" "));
    for (const name of packages) {
      const there = spawnSync("dpkg-query", ["-W", name]).status === 0;
      if (there || spawnSync("apt-cache", ["show", name]).status === 0) continue;
      assert.ok(!hasPackageLists(), `there is no package ${name}`);
      t.diagnostic(`not looked up, as this machine has no package lists: ${name}`);
    }
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: object };
    for (const l of skipped)
      for (const [, script = ""] of l.matchAll(/npm run (\w+)/g)) assert.ok(script in scripts, script);
  });

  it("compares what is printed with what it says is printed", () => {
    assert.ok(printed("a … c\n…\nend", "a b c\nx\ny\nend\n"));
    assert.ok(printed("…\nend", "end"));
    assert.ok(printed("two  columns", "two     columns  \n"));
    assert.ok(!printed("a … c", "a b d\n"));
    assert.ok(!printed("a", "a\nb\n"));
    assert.ok(!printed("a.c", "abc\n"));
  });

  it("tells readers and the test the same hosts", () => {
    const block = (comment: string): string => `## A\n\nOn **host-1**:\n\n${comment}\n\`\`\`\nls\n\`\`\`\n`;
    assert.equal(readGuide(block("<!-- on host-1 -->"), HOSTS)[0]?.blocks.length, 1);
    assert.throws(() => readGuide(block("<!-- on host-2 -->"), HOSTS), /people are told host-1/);
    assert.throws(() => readGuide(block(""), HOSTS), /nothing says on which host/);
  });

  describe("played", { skip: unlessThere(missing) }, () => {
    let testbed: Testbed;
    const machines = new Map<string, GuideMachine>();
    /** Of the block that was played last, by host; and of the one in the background. */
    let last: ReadonlyMap<string, Played> = new Map();
    let background: Promise<Played> | null = null;
    let broken: string | null = null;

    before(async () => {
      testbed = await Testbed.create();
      const underlay = await Underlay.create(testbed);
      for (const [i, name] of HOSTS.entries())
        machines.set(name, await GuideMachine.create(testbed, underlay, name, "eth1", `${ADDRESSES[i]}/24`));
    });
    after(async () => {
      await testbed?.close();
      await background;
    });

    const machine = (name: string): GuideMachine => {
      const found = machines.get(name);
      assert.ok(found !== undefined, name);
      return found;
    };

    async function play(block: Block): Promise<void> {
      const where = `docs/guide/installing.md:${block.line}`;
      if (block.kind === "not played") return;
      if (block.kind === "commands") {
        if (block.background) {
          assert.equal(block.hosts.length, 1);
          background = machine(block.hosts[0] ?? "").play(block.text, BLOCK_MS);
          // Somebody at two terminals goes on when the first one has said that it follows.
          const enabled = `curl -s ${TRACES} | jq -e 'any(.[]; .enabled)'`;
          await machine("host-1").run(`until ${enabled}; do sleep 0.1; done`, BLOCK_MS);
          return;
        }
        const played = await Promise.all(
          block.hosts.map(
            async (host): Promise<[string, Played]> => [host, await machine(host).play(block.text, BLOCK_MS)],
          ),
        );
        last = new Map(played);
        for (const [host, { failed, output }] of played)
          assert.deepEqual(failed, [], `${where} on ${host}\n${lastLines(output)}\n${await logs()}`);
        return;
      }
      const said = block.background ? new Map([["the background", await background]]) : last;
      for (const [host, result] of said) {
        assert.ok(result !== null && result !== undefined, `${where}: nothing was played before`);
        if (printed(block.text, result.output) && (!block.background || result.failed.length === 0)) continue;
        const beside: string = block.background ? [...last.values()].map((p) => lastLines(p.output)).join("\n") : "";
        assert.fail(
          `${where} on ${host}: this was printed:\n${[result.output, ...result.failed, beside, await logs()].join("\n")}`,
        );
      }
    }

    /** The last words of every daemon, and what the agents and switches know of each other. */
    async function logs(): Promise<string> {
      const asked = [
        "tail -n 12 /var/log/midotrace-*.log",
        "tail -n 3 /var/log/zookeeper.log /var/log/openvswitch/*.log",
        "ovs-appctl tnl/neigh/show",
        "curl -s http://127.0.0.1:8182/readyz",
        "curl -s http://127.0.0.1:8182/metrics | grep -v '^#'",
      ];
      const script = asked.map((command) => `${command} 2>&1 || true`).join("\n");
      const told = [...machines.values()].map(async (m) => `== ${m.name}\n${await m.run(script)}`);
      return (await Promise.all(told)).join("\n");
    }

    for (const { title, blocks: inside } of sections) {
      it(title, async (t) => {
        assert.equal(broken, null, `not played, as ${broken} failed`);
        broken = title;
        await around[title]?.before?.();
        for (const block of inside) {
          await play(block);
          if (block.kind === "not played") t.diagnostic(`line ${block.line} is not played: ${block.why}`);
        }
        await around[title]?.after?.(t);
        broken = null;
      });
    }

    /** From its last word before the restart to its readiness after it. */
    async function agentAwayMs(): Promise<number> {
      const log = await machine("host-1").run("cat /var/log/midotrace-agent.log");
      const lines = log.split("\n").flatMap((l) => (l.startsWith("{") ? [JSON.parse(l) as Line] : []));
      const at = (message: string): number => Date.parse(lines.findLast((l) => l.message === message)?.time ?? "");
      const awayMs = at("agent started") - at("agent stopped");
      assert.ok(awayMs > 0, log);
      return awayMs;
    }

    let ping: Promise<string> | null = null;
    /** What the guide promises around its commands. */
    const around: Readonly<
      Record<string, { readonly before?: () => Promise<void>; readonly after?: (t: TestContext) => Promise<void> }>
    > = {
      "A first trace": {
        after: async () => {
          const ids = await machine("host-1").run(`curl -fsS ${TRACES} | jq -r '.[] | select(.name == "first").id'`);
          const flows = await machine("host-1").run(
            `for id in $(curl -fsS ${TRACES}/${ids.trim()}/flows | jq -r '.flows[].flowTraceId'); do curl -fsS ${TRACES}/${ids.trim()}/flows/$id; echo; done`,
          );
          const traces = flows
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line) as PublicFlowTrace);
          assert.equal(traces.length, 3, flows);
          for (const { verdict, segments, completeness } of traces) {
            assert.equal(completeness.state, "complete", flows);
            assert.equal(verdict, "delivered");
            assert.deepEqual(
              segments.map((s) => [s.hostName, s.role]),
              [
                ["host-1", "ingress"],
                ["host-2", "egress"],
              ],
            );
            for (const { steps } of segments) assert.ok(steps.length > 0);
          }
        },
      },
      Upgrading: {
        before: async () => {
          const command = "ip netns exec web-1 ping -q -i 0.2 -c 1000 -w 60 10.0.2.20 & echo $! > /run/ping.pid; wait";
          ping = machine("host-1").run(command, 70_000);
          // The way there and the way back.
          const flows =
            "curl -s http://127.0.0.1:8182/metrics | awk '$1 == \"midotrace_agent_flows\" { print int($2) }'";
          await machine("host-1").run(`until [ "$(${flows})" -ge 2 ]; do sleep 0.1; done`);
        },
        after: async (t) => {
          await machine("host-1").run("kill -INT $(cat /run/ping.pid)");
          const said = (await ping) ?? "";
          const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(said) ?? [];
          assert.ok(Number(sent) > 10, said);
          const awayMs = await agentAwayMs();
          t.diagnostic(`the agent was away for ${awayMs} ms; ${sent} pings, ${received} answers`);
          // As the guide says: the others have held its ports for gone when its session was over.
          if (awayMs < SESSION_LEFT_MS) assert.equal(received, sent, `a ping that was under way lost packets: ${said}`);
        },
      },
      "Taking a host away": {
        after: async () => {
          const show = await machine("host-3").run("ovs-vsctl list-br; ls /etc /var/lib");
          assert.ok(!/br-int|midotrace/.test(show), show);
        },
      },
    };
  });
});

/** Of a daemon's log. */
interface Line {
  readonly time: string;
  readonly message: string;
}

/** What was printed at the end. */
const lastLines = (output: string): string => output.trimEnd().split("\n").slice(-40).join("\n");

/** This machine knows what Debian has, not only what is installed. */
function hasPackageLists(): boolean {
  const { stdout } = spawnSync("apt-cache", ["stats"], { encoding: "utf8" });
  return Number(/Total package names: (\d+)/i.exec(stdout ?? "")?.[1] ?? 0) > 20_000;
}
