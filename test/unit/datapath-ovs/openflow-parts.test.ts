import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FlowEntry } from "#core/datapath";
import { ETHERTYPE, type FlowAction, FRAGMENT, UNTAGGED } from "#core/flows";
import { FlowRecord } from "#protocols/openflow";
import {
  cookieHigh,
  cookieLow,
  cookieOf,
  nextRound,
  PROGRAM_ROUND,
  roundOf,
  wireCookie,
} from "../../../src/adapters/datapath-ovs/cookies.ts";
import { ServedEntries, timeoutSeconds } from "../../../src/adapters/datapath-ovs/entries.ts";
import { FoundFlows } from "../../../src/adapters/datapath-ovs/found-flows.ts";
import { isTooLong, lengthGuard } from "../../../src/adapters/datapath-ovs/frame-length.ts";
import { type Rule, Rules } from "../../../src/adapters/datapath-ovs/rules.ts";
import { entry, output } from "../../support/datapath-rig.ts";
import { tcpMatch } from "../../support/openflow-samples.ts";

function record(round: number, cookie: number, priority: number, table = 0): FlowRecord {
  const r = new FlowRecord();
  return Object.assign(r, { cookieHigh: cookieHigh(round, cookie), cookieLow: cookieLow(cookie), priority, table });
}

describe("cookies in the switch", () => {
  it("hold a round and all 53 bits of the agent's", () => {
    for (const round of [0, 1, 1023, 1024, 2046, PROGRAM_ROUND])
      for (const cookie of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 12_345, Number.MAX_SAFE_INTEGER]) {
        const high = cookieHigh(round, cookie);
        assert.ok(high >= 0 && high < 2 ** 32);
        assert.equal(roundOf(high), round);
        assert.equal(cookieOf(high, cookieLow(cookie)), cookie);
      }
  });

  it("a new round is one that nobody has, after the newest, and never the program's or 0", () => {
    assert.equal(nextRound(new Set()), 1);
    assert.equal(nextRound(new Set([0, 1, 5, PROGRAM_ROUND])), 6);
    assert.equal(nextRound(new Set([1, 2, 2046])), 3);
    const all = new Set(Array.from({ length: PROGRAM_ROUND }, (_, i) => i));
    assert.equal(nextRound(all), 1);
    all.delete(1500);
    assert.equal(nextRound(all), 1500);
  });
});

describe("what a switch had before", () => {
  it("gives a new run a round and a priority above", () => {
    const found = new FoundFlows();
    assert.deepEqual(found.newRun(), { round: 1, priority: 1000 });
    found.note(record(3, 9, 1004));
    found.note(record(3, 9, 1002));
    found.note(record(0, 0, 40_000, 7));
    found.note(record(PROGRAM_ROUND, 1, 50_000));
    assert.deepEqual(found.newRun(), { round: 4, priority: 1005 });
    found.note(record(4, 1, 60_000));
    assert.deepEqual(found.newRun(), { round: 5, priority: 1000 });
  });

  it("names each cookie of other rounds once, and never the program", () => {
    const found = new FoundFlows();
    for (const cookie of [7, 8, 7]) found.note(record(2, cookie, 1000));
    found.note(record(PROGRAM_ROUND, 1, 0));
    found.note(record(5, 1, 1000));
    found.note(record(0, 0, 1));
    assert.deepEqual([...found.of(2)], [7, 8]);
    assert.deepEqual([...found.of(9)], []);
    assert.deepEqual(found.notOf(5, wireCookie), [wireCookie(0, 0), wireCookie(2, 7), wireCookie(2, 8)]);
  });
});

describe("entries", () => {
  const rewrite: FlowAction = { kind: "set-ipv4", src: 1, dst: null, ttl: null };
  const made = (match = tcpMatch(), actions: readonly FlowAction[] = [output(1)], userspace = true): Rule =>
    new Rules().of(entry(1, match, 1, actions), 100, userspace);

  it("timeouts are whole seconds, never too short", () => {
    const seconds = [0, 1, 999, 1000, 1001, 60_000, 2 ** 31].map(timeoutSeconds);
    assert.deepEqual(seconds, [0, 1, 1, 1, 2, 60, 0xffff]);
  });

  it("what the switch would get wrong, or not take, is served from here", () => {
    const later = tcpMatch({ fragment: FRAGMENT.LATER });
    assert.equal(made(later, [rewrite]).served, true);
    assert.equal(made(later, [rewrite], false).served, false, "the kernel does it right");
    assert.equal(made(later, [{ ...rewrite, src: null, ttl: 5 }]).served, false);
    assert.equal(made(tcpMatch(), [rewrite]).served, false);
    const push: FlowAction = { kind: "push-vlan", vlan: 1 };
    assert.equal(made(tcpMatch(), [push]).served, false);
    assert.equal(made(tcpMatch(), [push, push], false).served, true);
    assert.equal(made(tcpMatch({ etherType: 0x8100 }), [{ kind: "pop-vlan" }, { kind: "pop-vlan" }]).served, true);
  });

  it("those served from here have timeouts all the same", () => {
    const served = new ServedEntries();
    const rule = { ...made(), actions: [] };
    served.add(1, { ...rule, idleTimeoutMs: 100 }, 1000);
    served.add(2, { ...rule, idleTimeoutMs: 100, hardTimeoutMs: 250 }, 1000);
    served.add(3, { ...rule, idleTimeoutMs: 0 }, 1000);
    served.used(2, 1090);
    assert.deepEqual(served.due(1099), []);
    assert.deepEqual(served.due(1100), [[1, "idle"]]);
    served.used(2, 1180);
    served.used(1, 1180);
    assert.deepEqual(served.due(1249), []);
    assert.deepEqual(served.due(1250), [[2, "hard"]]);
    assert.deepEqual(served.due(1e9), []);
  });

  it("one rule is made for entries that do the same with packets of one kind, and another for each that differs", () => {
    const rules = new Rules();
    const actions = [output(1)];
    const { mask } = entry(1, tcpMatch(), 1, actions);
    const of = (match = tcpMatch(), more: Partial<FlowEntry> = {}, tunnelPort = 100, userspace = true): Rule =>
      rules.of({ ...entry(1, match, 1, actions), mask, actions, ...more }, tunnelPort, userspace);
    const first = of();
    assert.equal(of(tcpMatch({ tpSrc: 7 })), first);
    const others = [
      of(tcpMatch({ vlan: UNTAGGED })),
      of(tcpMatch({ etherType: ETHERTYPE.VLAN })),
      of(tcpMatch({ fragment: FRAGMENT.LATER })),
      of(tcpMatch(), { mask: { ...mask } }),
      of(tcpMatch(), { actions: [output(1)] }),
      of(tcpMatch(), { idleTimeoutMs: 7 }),
      of(tcpMatch(), { hardTimeoutMs: 7 }),
      of(tcpMatch(), {}, 1),
      of(tcpMatch(), {}, 100, false),
    ];
    assert.equal(new Set([first, ...others]).size, others.length + 1);
    assert.equal(of(), first);
  });

  it("only a way into the tunnel is measured, and tags that are pushed and popped before it count", () => {
    const push: FlowAction = { kind: "push-vlan", vlan: 7 };
    const pop: FlowAction = { kind: "pop-vlan" };
    const ways: readonly (readonly [readonly FlowAction[], number | undefined])[] = [
      [[output(3)], undefined],
      [[output(100)], 1464],
      [[push, output(100)], 1460],
      [[pop, output(100)], 1468],
      [[output(100), push, push, output(100), output(3)], 1456],
      [[push, output(3), pop, output(100)], 1464],
    ];
    for (const [actions, longest] of ways) {
      const rule = made(tcpMatch(), actions);
      assert.equal(rule.tagGrowth !== null, longest !== undefined);
      assert.equal(lengthGuard(rule, 1464)?.longestBytes, longest);
      assert.equal(lengthGuard(rule, Infinity), null);
      assert.equal(isTooLong(rule, (longest ?? 9000) + 1, 1464), longest !== undefined);
      assert.equal(isTooLong(rule, longest ?? 9000, 1464), false);
    }
  });
});
