import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import {
  assembleFlowTrace,
  type FlowTrace,
  redactFlowTrace,
  renderFlowTrace,
  adviceCommand,
  columnsOf,
  renderStep,
  toPublic,
} from "#core/tracing";
import { droppedSegment, egressSegment, ingressSegment, RED, START_MS } from "../../support/tracing-example.ts";
import { EVERY_STEP } from "../../support/tracing-steps.ts";

const trace = (...segments: Parameters<typeof assembleFlowTrace>[0][number][]): FlowTrace =>
  assembleFlowTrace(segments, { nowMs: START_MS + 9_000 }) as FlowTrace;
const PLAIN = { colour: false, width: 100 } as const;

describe("a step as a sentence", () => {
  for (const [kind, [step, sentence]] of Object.entries(EVERY_STEP))
    it(kind, () => {
      assert.equal(renderStep(step), sentence);
    });

  it("says so when something is absent", () => {
    const [rule] = EVERY_STEP.rule;
    const matched = { ...rule, matched: true };
    assert.equal(renderStep(matched), "Rule 2 of chain red-in (drop) matched: udp and dst port 80");
    assert.equal(renderStep({ ...matched, condition: "any" }), "Rule 2 of chain red-in (drop) matched: any packet");
    const { condition: _, ...old } = matched;
    assert.equal(renderStep(old), "Rule 2 of chain red-in (drop) matched");
    const [lookup] = EVERY_STEP["route-lookup"];
    assert.equal(renderStep({ ...lookup, route: null }), "No route to 10.0.2.20 from 10.0.1.10 among 4 routes");
    const [flow] = EVERY_STEP.flow;
    assert.equal(renderStep({ ...flow, match: null, because: "traced" }), "No flow installed: traced");
    const [hop] = EVERY_STEP["next-hop"];
    assert.equal(renderStep({ ...hop, mac: null }), "Next hop 10.0.2.20: its MAC is not known, asking by ARP");
    const [flood] = EVERY_STEP.flood;
    assert.equal(renderStep({ ...flood, ports: [] }), "Flooded to no port");
    const [decision] = EVERY_STEP["bridge-decision"];
    const arp = renderStep({ ...decision, decision: "arp-to-router" });
    assert.equal(arp, "To port blue-vm2: ARP for an address of the router linked there");
    assert.match(renderStep({ ...decision, outPort: null, decision: "flood-unknown" }), /is not known: flooding/);
  });
});

describe("a flow trace as a tree", () => {
  it("begins with the verdict and marks the failing step", () => {
    const lines = renderFlowTrace(toPublic(trace(droppedSegment())), PLAIN).split("\n");
    assert.equal(lines[0], "✗ DROPPED at bridge red-net on host h1: rule 2 (drop) of chain red-in matched.");
    assert.deepEqual(
      lines.slice(1).filter((l) => l.includes("✗")),
      ["│  ✗ Dropped: a rule of type drop matched (rule 2 of chain red-in)"],
    );
    assert.equal(lines.at(-2), "complete: the one host reported");
  });

  it("shows hosts in order, devices below them, and what the egress host did", () => {
    const text = renderFlowTrace(toPublic(trace(egressSegment(), ingressSegment())), PLAIN);
    assert.ok(text.startsWith("✓ DELIVERED to port blue-vm2 on host h2.\n"));
    assert.ok(text.indexOf("host h1  ingress") < text.indexOf("host h2  egress"));
    assert.match(text, /├─ router provider-router\n│ {2}· In router/);
    assert.match(text, /complete: all 2 hosts reported\n$/);
  });

  it("says which host has not reported and why", () => {
    const text = renderFlowTrace(toPublic(trace(ingressSegment())), PLAIN);
    assert.ok(text.startsWith("? UNKNOWN  Not known: host h2 has not reported what became of the packet."));
    assert.match(text, /partial: host h2 has not reported \(never came\)\n$/);
  });

  it("shows withheld steps as withheld", () => {
    const view = redactFlowTrace(trace(ingressSegment(), egressSegment()), { admin: false, tenantId: RED });
    const text = renderFlowTrace(view, PLAIN);
    assert.match(text, /└─ ▒▒ withheld: devices of others/);
    assert.doesNotMatch(text, /provider|h1|h2|tap|blue|172\./);
  });

  it("is never wider than the terminal, and loses nothing but the tails of words that say so", () => {
    const views = [trace(droppedSegment()), trace(ingressSegment(), egressSegment())].map((t) => toPublic(t));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 160 }), fc.constantFrom(...views), (width, view) => {
        const text = renderFlowTrace(view, { colour: false, width });
        for (const line of text.split("\n")) {
          assert.ok(line.length <= Math.max(24, width), `${width}: ${line}`);
          assert.equal(line, line.trimEnd());
        }
        const wide = renderFlowTrace(view, { colour: false, width: 10_000 });
        const words = (t: string): string[] => t.split(/[\s│├└─]+/).filter((w) => w !== "");
        const all = words(wide);
        for (const [i, word] of words(text).entries())
          assert.ok(word.endsWith("…") ? all[i]?.startsWith(word.slice(0, -1)) : all[i] === word, word);
      }),
    );
  });

  it("counts columns, not letters: names in Chinese, with marks or emoji fit the terminal too", () => {
    const t = toPublic(trace(ingressSegment(), egressSegment()));
    const names = ["网桥一号".repeat(4), "e\u0301te\u0301-ro\u0302uter", "🚀🚀-пример-ルーター"];
    const named = JSON.parse(JSON.stringify(t).replaceAll("provider-router", names.join(" "))) as typeof t;
    for (let width = 24; width <= 120; width += 3) {
      for (const line of renderFlowTrace(named, { colour: false, width }).split("\n"))
        assert.ok(columnsOf(line) <= width, `${width}: ${columnsOf(line)}: ${line}`);
    }
    assert.ok(renderFlowTrace(named, { colour: false, width: 120 }).includes(names[0] ?? ""));
  });

  it("says what to do, with the names of this trace, below the sentence and below what is missing", () => {
    const options = { ...PLAIN, advice: true };
    const dropped = renderFlowTrace(toPublic(trace(droppedSegment())), options).split("\n");
    const first = dropped.findIndex((l) => l.startsWith("  → "));
    assert.ok(first > 0 && first < dropped.indexOf(""), "before the tree");
    assert.match(dropped[first] ?? "", /^ {2}→ The rule that the sentence names decided\./);
    assert.ok(dropped.includes("  → midotrace topology show --chain red-in"), dropped.join("\n"));
    const missing = renderFlowTrace(toPublic(trace(ingressSegment())), options);
    assert.match(
      missing,
      /\(never came\)\n {2}→ The packet or the report was lost[^]*\n {2}→ on host h2: midotrace agent doctor\n$/,
    );
    assert.doesNotMatch(renderFlowTrace(toPublic(trace(ingressSegment(), egressSegment())), options), /→/);
  });

  it("quotes names for the shell that they are pasted into", () => {
    assert.equal(adviceCommand("show --chain CHAIN", { CHAIN: "red-in" }), "show --chain red-in");
    assert.equal(adviceCommand("show --chain CHAIN", { CHAIN: "a'b; rm $(x)" }), "show --chain 'a'\\''b; rm $(x)'");
    assert.equal(adviceCommand("show --chain CHAIN", {}), "show --chain CHAIN");
  });

  it("names the packet by its key", () => {
    const line = (key: Partial<FlowTrace["key"]>): string => {
      const t = trace(ingressSegment({ key: { ...ingressSegment().key, ...key } }));
      return renderFlowTrace(toPublic(t), PLAIN).split("\n")[1] ?? "";
    };
    assert.equal(line({}), "ICMP 10.0.1.10 > 10.0.2.20 id 7");
    assert.equal(line({ networkProto: 6 }), "TCP 10.0.1.10:7 > 10.0.2.20:7");
    assert.equal(line({ networkProto: 17, srcPort: null, dstPort: null }), "UDP 10.0.1.10 > 10.0.2.20");
    assert.equal(line({ etherType: 0x0806, networkProto: 1 }), "ARP request for 10.0.2.20 from 10.0.1.10");
    const none = { networkSrc: null, networkDst: null, networkProto: null, srcPort: null, dstPort: null };
    assert.equal(line({ ...none, etherType: 0x88cc }), "ac:ca:ba:00:00:01 > ac:ca:ba:00:00:02 ethertype 0x88cc");
  });

  it("in colour is the same text with codes that are all closed", () => {
    const view = toPublic(trace(droppedSegment()));
    const plain = renderFlowTrace(view, { colour: false, width: 70 });
    const colour = renderFlowTrace(view, { colour: true, width: 70 });
    // oxlint-disable-next-line no-control-regex -- ANSI codes are what is looked for
    assert.equal(colour.replaceAll(/\u001b\[[0-9;]*m/g, ""), plain);
    for (const line of colour.split("\n")) {
      const opened = line.split("\u001b[").length - 1;
      assert.equal(line.split("\u001b[0m").length - 1, opened / 2);
    }
    const palette = { good: "<g>", bad: "<b>", unsure: "<u>", strong: "<s>", faint: "<f>", plain: "", reset: "</>" };
    assert.match(renderFlowTrace(view, { colour: true, width: 70, palette }), /^<b>✗ DROPPED<\/><s> at bridge/);
  });
});
