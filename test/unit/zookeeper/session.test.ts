import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Call,
  ERR,
  EVENT,
  exists,
  getChildren,
  NO_HURRY_MS,
  OP,
  type SessionNews,
  XID,
} from "#protocols/zookeeper";
import { ADDRESSES, Bench, greeting, notice, reply, stat } from "../../support/zookeeper-bytes.ts";

class Outcome<R> implements Call<R> {
  readonly said: (string | { readonly err: number; readonly value: R | null })[] = [];

  /** Why it failed. */
  get reason(): string {
    const [first] = this.said;
    return typeof first === "string" ? first : "";
  }

  answered(err: number, value: R | null): void {
    this.said.push({ err, value });
  }

  failed(reason: string): void {
    this.said.push(reason);
  }
}

function ready(bench = new Bench()): Bench {
  bench.start();
  bench.greet();
  bench.news.length = 0;
  return bench;
}

const ask = (bench: Bench, path: string): Outcome<unknown> => {
  const outcome = new Outcome<unknown>();
  bench.take(bench.session.submit(exists(path), outcome, bench.nowMs));
  return outcome;
};

const notified = (news: readonly SessionNews[]): string[][] =>
  news.flatMap((item) => (item.kind === "notifications" ? [item.list.map((n) => n.path)] : []));

const reasons = (news: readonly SessionNews[]): string[] =>
  news.flatMap((item) => ("reason" in item ? [`${item.kind}: ${item.reason}`] : []));

describe("finding a server", () => {
  it("tries each at once, then pauses ever longer with names resolved anew", () => {
    const bench = new Bench();
    bench.start();
    const tried = new Set<string>();
    const pauses: number[] = [];
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < ADDRESSES.length; i++) {
        assert.ok(bench.connecting);
        tried.add(bench.connecting.host);
        bench.connecting = null;
        bench.close("connection refused");
      }
      const last = bench.news.at(-1);
      assert.ok(last?.kind === "waiting");
      pauses.push(last.pauseMs);
      assert.equal(bench.resolving, false);
      bench.advance(last.pauseMs);
      assert.equal(bench.resolving, true);
      bench.resolve();
    }
    assert.equal(tried.size, 3);
    assert.deepEqual(pauses, [15, 30, 60, 120, 240, 375, 375, 375]); // 0.75 of 20, 40 … 500: the jitter of 0.5
  });
  it("gives a server that accepts and says nothing a share of the time, more in later rounds", () => {
    const bench = new Bench();
    bench.start();
    bench.open();
    bench.advance(1499);
    assert.equal(bench.drops, 0);
    bench.advance(1);
    assert.equal(bench.drops, 1);
    assert.ok(bench.connecting);
    bench.close();
    bench.close();
    bench.advance(15);
    bench.resolve();
    bench.open();
    bench.advance(2999);
    assert.equal(bench.drops, 1);
    bench.advance(1);
    assert.equal(bench.drops, 2);
  });
  it("waits when no name resolves, or never does", () => {
    const bench = new Bench();
    bench.start([]);
    assert.deepEqual(reasons(bench.news), ["waiting: no server name could be resolved"]);
    bench.advance(15);
    assert.equal(bench.resolving, true);
    bench.advance(3000);
    assert.match(reasons(bench.news).at(-1) ?? "", /not resolved in time/);
  });
  it("after a good connection broke: the others at once, that one last", () => {
    const bench = ready();
    bench.advance(1000);
    const lost = bench.server?.host;
    bench.close("broken");
    const order: string[] = [];
    for (let i = 0; i < 3; i++) {
      order.push(bench.connecting?.host ?? "none");
      bench.close("refused");
    }
    assert.equal(new Set(order).size, 3);
    assert.equal(order[2], lost);
    assert.equal(bench.kinds().at(-1), "waiting");
  });
  it("a connection that breaks as soon as it stands is not made anew in a tight loop", () => {
    const bench = new Bench();
    bench.start();
    let attempts = 0;
    const until = bench.nowMs + 10_000;
    while (bench.nowMs < until) {
      if (bench.resolving) bench.resolve();
      if (bench.connecting !== null) {
        attempts++;
        bench.greet();
        bench.close("kicked out");
      } else bench.advance(10);
    }
    assert.ok(attempts < 60, `${attempts} attempts in 10 s`);
  });
});

describe("a session", () => {
  it("is asked for, granted, and asked for again with what was seen after a break", () => {
    const bench = new Bench();
    bench.start();
    assert.deepEqual(bench.open(), { lastZxid: 0n, timeoutMs: 9000, session: null });
    bench.say(greeting(0x77n, 6000));
    assert.equal(bench.session.grantedTimeoutMs, 6000);
    const outcome = ask(bench, "/x");
    const [request] = bench.sent();
    bench.say(reply(request?.xid ?? 0, 0x500n, ERR.noNode));
    assert.deepEqual(outcome.said, [{ err: ERR.noNode, value: null }]);
    bench.close("broken");
    bench.advance(15);
    bench.resolve();
    const again = bench.open();
    assert.deepEqual([again?.lastZxid, again?.session?.id], [0x500n, 0x77n]);
    bench.say(greeting(0x77n, 6000));
    const ready = bench.news.filter((item) => item.kind === "ready").map((item) => item.newSession);
    assert.deepEqual(ready, [true, false]);
    assert.ok(!bench.kinds().includes("lost"));
  });
  it("does not take what it has seen from notifications", () => {
    const bench = ready();
    bench.say(
      notice(EVENT.created, "/x"),
      reply(XID.notification, 0x999n, 0, (w) => w.int(EVENT.changed).int(3).ustring("/x")),
    );
    assert.equal(bench.session.seenZxid, 0n);
  });
  it("expired: said, and a new one asked of the same server, behind nothing that was seen", () => {
    const bench = ready();
    const outcome = ask(bench, "/x");
    bench.say(reply(bench.sent()[0]?.xid ?? 0, 0x500n, 0, (w) => stat(w)));
    assert.equal(outcome.said.length, 1);
    bench.close();
    bench.advance(15);
    bench.resolve();
    const server = bench.connecting;
    bench.open();
    bench.say(greeting(0n, 0));
    assert.deepEqual(bench.connecting, server);
    assert.deepEqual(bench.open(), { lastZxid: 0x500n, timeoutMs: 9000, session: null });
    bench.say(greeting(0x52n, 9000));
    assert.deepEqual(
      bench.kinds().filter((kind) => kind === "lost" || kind === "ready"),
      ["lost", "ready"],
    );
    assert.ok(bench.news.some((item) => item.kind === "ready" && item.newSession));
  });
  it("another one handed out unasked counts as the loss of ours", () => {
    const bench = ready();
    bench.close();
    bench.advance(15);
    bench.resolve();
    bench.greet(0x99n);
    assert.deepEqual(
      bench.kinds().filter((kind) => kind !== "waiting"),
      ["disconnected", "lost", "ready"],
    );
    assert.equal(bench.session.session?.id, 0x99n);
  });
  it("no server knows it any more: held on to for 4T/3, then lost to a server that refuses it and grants another", () => {
    const bench = ready();
    const brokenMs = bench.nowMs;
    bench.close();
    let fresh = 0;
    let shown = 0;
    while (bench.session.session?.id === 0x51n && bench.nowMs < brokenMs + 60_000) {
      if (bench.resolving) bench.resolve();
      if (bench.connecting === null) {
        bench.advance(5);
        continue;
      }
      const request = bench.open();
      if (request?.session === null) {
        assert.equal(request.lastZxid, 0n);
        assert.ok(bench.nowMs - brokenMs > 12_000, "not before 4T/3");
        fresh++;
        bench.say(greeting(0x60n, 9000));
      } else {
        shown++;
        bench.close("closed");
      }
    }
    assert.equal(fresh, 2, "once to see that the server serves, once for good");
    assert.ok(shown > 20);
    assert.ok(bench.nowMs - brokenMs < 13_000);
    assert.deepEqual(
      bench.kinds().filter((kind) => kind === "lost"),
      ["lost"],
    );
  });
  it("a server that begins to serve between two tries does not cost it", () => {
    const bench = ready();
    const brokenMs = bench.nowMs;
    bench.close();
    let serving = false;
    while (bench.nowMs < brokenMs + 30_000 && bench.kinds().at(-1) !== "ready") {
      if (bench.resolving) bench.resolve();
      if (bench.connecting === null) {
        bench.advance(5);
        continue;
      }
      const request = bench.open();
      // It grants what is asked from the very moment on that a new session is.
      serving ||= request?.session === null;
      if (!serving) bench.close("not serving");
      else bench.say(greeting(request?.session?.id ?? 0x60n, 9000));
    }
    assert.equal(bench.session.session?.id, 0x51n);
    assert.ok(!bench.kinds().includes("lost"));
  });
  it("servers that cannot be reached at all never cost it", () => {
    const bench = ready();
    bench.close();
    for (let ms = 0; ms < 120_000; ms += 5) {
      if (bench.resolving) bench.resolve();
      while (bench.connecting !== null) {
        bench.connecting = null;
        bench.close("connection refused");
      }
      bench.advance(5);
    }
    assert.equal(bench.session.session?.id, 0x51n);
    assert.ok(!bench.kinds().includes("lost"));
  });
  it("read-only servers are not taken", () => {
    const bench = new Bench();
    bench.start();
    const first = bench.connecting;
    bench.open();
    bench.say(greeting(0x51n, 9000, true));
    assert.equal(bench.drops, 1);
    assert.notDeepEqual(bench.connecting, first);
  });
  it("credentials and watches go first, and must be answered before it is ready", () => {
    const bench = new Bench({
      credentials: [{ scheme: "digest", secret: Uint8Array.of(1) }],
      watchedPaths: () => ["/a", "/b"],
    });
    bench.start();
    bench.greet();
    assert.deepEqual(
      bench.sent().map(({ xid, op }) => [xid, op]),
      [
        [XID.auth, OP.auth],
        [XID.setWatches, OP.setWatches2],
      ],
    );
    const early = ask(bench, "/x");
    assert.deepEqual(early.said, ["there is no connection"]);
    bench.say(reply(XID.auth, 1n));
    assert.ok(!bench.kinds().includes("ready"));
    bench.say(reply(XID.setWatches, 1n));
    assert.ok(bench.kinds().includes("ready"));
  });
  it("refused credentials are a reason to wait, and said", () => {
    const bench = new Bench({ credentials: [{ scheme: "digest", secret: Uint8Array.of(1) }] });
    bench.start(ADDRESSES.slice(0, 1));
    bench.greet();
    bench.say(reply(XID.auth, 1n, ERR.authFailed));
    assert.match(reasons(bench.news).at(-1) ?? "", /credentials were refused: authFailed/);
  });
  it("ends after what was submitted", () => {
    const bench = ready();
    const outcome = ask(bench, "/x");
    bench.take(bench.session.close(bench.nowMs));
    const late = ask(bench, "/y");
    const [request, close] = bench.sent();
    assert.equal(close?.op, OP.closeSession);
    bench.say(
      reply(request?.xid ?? 0, 1n, 0, (w) => stat(w)),
      reply(close?.xid ?? 0, 2n),
    );
    assert.equal(outcome.said.length, 1);
    assert.deepEqual(late.said, ["there is no connection"]);
    assert.deepEqual([bench.kinds().at(-1), bench.drops, bench.session.deadlineMs], ["ended", 1, null]);
  });
  it("ends without an answer, too", () => {
    const bench = ready();
    const outcome = ask(bench, "/x");
    bench.take(bench.session.close(bench.nowMs));
    bench.advance(2000);
    assert.equal(bench.kinds().at(-1), "ended");
    assert.equal(outcome.said.length, 1);
    const never = new Bench();
    never.start();
    never.take(never.session.close(never.nowMs));
    assert.deepEqual([never.kinds().at(-1), never.drops], ["ended", 1]);
  });
});

describe("a connection's life", () => {
  const answerPings = (bench: Bench): void => {
    for (const { op } of bench.sent()) if (op === OP.ping) bench.say(reply(XID.ping, 1n));
  };

  it("pings every T/3, whatever else is sent", () => {
    const bench = ready();
    let pings = 0;
    const startMs = bench.nowMs;
    while (bench.nowMs < startMs + 27_000) {
      const outcome = ask(bench, "/x");
      for (const { xid, op } of bench.sent()) {
        if (op === OP.ping) pings++;
        bench.say(op === OP.ping ? reply(XID.ping, 1n) : reply(xid, 1n, ERR.noNode));
      }
      assert.equal(outcome.said.length, 1);
      bench.advance(100);
    }
    assert.ok(pings === 8 || pings === 9, `${pings}`);
    assert.deepEqual(new Set(bench.kinds()), new Set(["deliver"]));
  });
  it("silence of 2T/3 ends it; half a frame is silence", () => {
    const bench = ready();
    const outcome = ask(bench, "/x");
    bench.advance(3000);
    bench.say(reply(XID.ping, 1n).subarray(0, 6));
    bench.advance(2999);
    assert.equal(bench.drops, 0);
    bench.advance(1001);
    assert.equal(bench.drops, 1);
    assert.match(reasons(bench.news)[0] ?? "", /^disconnected: nothing heard from s\d:2181 for \d+ ms$/);
    assert.match(outcome.reason, /nothing heard/);
  });
  it("a server that answers pings keeps it for ever", () => {
    const bench = ready();
    bench.advance(600_000, () => answerPings(bench));
    assert.deepEqual(bench.news, []);
  });
  it("a process that did not run says so, and gives the server the time of an answer", () => {
    const other = ready();
    other.nowMs += 20_000;
    other.take(other.session.tick(other.nowMs));
    answerPings(other);
    other.advance(20_000, () => answerPings(other));
    assert.deepEqual(other.news, [{ kind: "blocked", forMs: 20_000 }]);
    assert.equal(other.drops, 0);
    const dead = ready();
    dead.nowMs += 20_000;
    dead.take(dead.session.tick(dead.nowMs));
    dead.advance(4000);
    assert.deepEqual(dead.kinds(), ["blocked", "disconnected"]);
  });
  it("an overdue request fails alone; its answer is let pass", () => {
    const bench = ready(new Bench({ operationTimeoutMs: 500 }));
    const first = ask(bench, "/a");
    bench.advance(400);
    const second = ask(bench, "/b");
    bench.advance(100);
    assert.deepEqual(first.said, ["no answer to exists /a in time"]);
    const [a, b] = bench.sent();
    bench.say(reply(a?.xid ?? 0, 1n, ERR.noNode), reply(b?.xid ?? 0, 1n, ERR.noNode));
    assert.deepEqual([first.said.length, second.said], [1, [{ err: ERR.noNode, value: null }]]);
    assert.equal(bench.drops, 0);
  });
  it("each request behind an overdue one is overdue in its own time, also when that one is answered, or gone with its connection", () => {
    const bench = ready(new Bench({ operationTimeoutMs: 500 }));
    const first = ask(bench, "/a");
    bench.advance(400);
    const second = ask(bench, "/b");
    bench.advance(200);
    const [a] = bench.sent();
    bench.say(reply(a?.xid ?? 0, 1n, ERR.noNode));
    const third = ask(bench, "/c");
    bench.advance(299);
    assert.deepEqual([first.said.length, second.said], [1, []]);
    bench.advance(1);
    assert.deepEqual(second.said, ["no answer to exists /b in time"]);
    // A connection that stood for a while is made anew at once.
    bench.advance(150);
    bench.close();
    assert.deepEqual(third.said, ["it broke"]);
    bench.greet();
    assert.ok(bench.kinds().includes("ready"));
    const fourth = ask(bench, "/d");
    bench.advance(500);
    assert.deepEqual(fourth.said, ["no answer to exists /d in time"]);
  });
  it("a request longer than servers take is refused before it breaks the connection", () => {
    const bench = ready();
    const outcome = ask(bench, `/${"x".repeat(1_048_576)}`);
    assert.match(outcome.reason, /too long a request/);
    assert.deepEqual(bench.sent(), []);
  });
});

describe("notifications", () => {
  it("are told when an answer marks them as whole, before that answer", () => {
    const bench = ready();
    const outcome = ask(bench, "/x");
    const [request] = bench.sent();
    bench.say(notice(EVENT.created, "/a"), notice(EVENT.changed, "/b"));
    assert.deepEqual(bench.news, []);
    bench.say(notice(EVENT.deleted, "/c"), reply(request?.xid ?? 0, 1n, ERR.noNode));
    assert.deepEqual(bench.kinds(), ["notifications", "deliver"]);
    assert.deepEqual(notified(bench.news), [["/a", "/b", "/c"]]);
    assert.equal(outcome.said.length, 1);
    assert.deepEqual(bench.sent(), []);
  });
  it("ask for an answer when none is due, once", () => {
    const bench = ready();
    bench.say(notice(EVENT.created, "/a"));
    bench.say(notice(EVENT.created, "/b"));
    assert.deepEqual(
      bench.sent().map(({ op }) => op),
      [OP.ping],
    );
    assert.deepEqual(bench.news, []);
    bench.say(reply(XID.ping, 1n), notice(EVENT.created, "/c"));
    assert.deepEqual(notified(bench.news), [["/a", "/b"]]);
    assert.deepEqual(
      bench.sent().map(({ op }) => op),
      [OP.ping],
    );
  });
  it("have what is wanted read instead of the ping, and are told with it", () => {
    const wanted = ["/a", "/gone", "/closed"];
    const bench = ready(new Bench({ glance: (pending) => (pending[0]?.path === "/a" ? wanted : []) }));
    bench.say(notice(EVENT.created, "/a"));
    const [read, ...more] = bench.sent();
    assert.deepEqual([read?.op, more], [OP.multiRead, []]);
    // What comes before the answer is told with it; whatever is asked meanwhile is answered behind.
    const outcome = ask(bench, "/x");
    const [request] = bench.sent();
    bench.say(notice(EVENT.changed, "/a"));
    assert.deepEqual(bench.kinds(), []);
    bench.say(
      reply(read?.xid ?? 0, 2n, 0, (w) => {
        w.int(OP.getData).bool(false).int(0).buffer(Uint8Array.of(104, 105));
        stat(w);
        for (const err of [ERR.noNode, ERR.noAuth]) w.int(OP.error).bool(false).int(err).int(err);
        w.int(-1).bool(true).int(-1);
      }),
      reply(request?.xid ?? 0, 2n, ERR.noNode),
    );
    assert.deepEqual(bench.kinds(), ["notifications", "deliver"]);
    const [news] = bench.news;
    assert.ok(news?.kind === "notifications");
    assert.deepEqual(
      news.list.map(({ type }) => type),
      [EVENT.created, EVENT.changed],
    );
    assert.deepEqual([...news.nodes.keys()], ["/a", "/gone"]);
    assert.equal(Buffer.from(news.nodes.get("/a")?.data ?? []).toString(), "hi");
    assert.equal(news.nodes.get("/gone"), null);
    assert.equal(outcome.said.length, 1);
    bench.news.length = 0;
    bench.say(notice(EVENT.changed, "/b"));
    assert.deepEqual(
      bench.sent().map(({ op }) => op),
      [OP.ping],
    );
    bench.say(reply(XID.ping, 3n));
    const [later] = bench.news;
    assert.ok(later?.kind === "notifications" && later.nodes.size === 0, "what was read is told once");
  });
  it("are told without it when the read is refused, and not at all when the connection breaks under it", () => {
    const bench = ready(new Bench({ glance: () => ["/a"] }));
    bench.say(notice(EVENT.created, "/a"));
    bench.say(reply(bench.sent()[0]?.xid ?? 0, 2n, ERR.noAuth));
    assert.deepEqual(notified(bench.news), [["/a"]]);
    bench.news.length = 0;
    bench.say(notice(EVENT.changed, "/a"));
    assert.deepEqual(
      bench.sent().map(({ op }) => op),
      [OP.multiRead],
    );
    bench.close();
    assert.deepEqual(notified(bench.news), []);
  });
  const ops = (bench: Bench): number[] => bench.sent().map(({ op }) => op);
  const unhurried = (): Bench => ready(new Bench({ glance: (list) => (list.at(-1)?.path === "/a" ? ["/a"] : null) }));
  it("that nobody is in a hurry to hear of ask for an answer after a while, once", () => {
    const bench = unhurried();
    bench.say(notice(EVENT.created, "/x"));
    bench.advance(NO_HURRY_MS - 10);
    bench.say(notice(EVENT.changed, "/y"));
    assert.deepEqual(ops(bench), []);
    bench.advance(9);
    assert.deepEqual(ops(bench), []);
    bench.advance(1);
    assert.deepEqual(ops(bench), [OP.ping]);
    bench.advance(2 * NO_HURRY_MS);
    assert.deepEqual([ops(bench), bench.news], [[], []]);
    bench.say(reply(XID.ping, 1n));
    assert.deepEqual(notified(bench.news), [["/x", "/y"]]);
    // The next ones have their own while.
    bench.say(notice(EVENT.created, "/z"));
    bench.advance(NO_HURRY_MS - 1);
    assert.deepEqual(ops(bench), []);
    bench.advance(1);
    assert.deepEqual(ops(bench), [OP.ping]);
  });
  it("that there was no hurry for are told with others, or before whatever is answered meanwhile, and no answer is asked for then", () => {
    const bench = unhurried();
    bench.say(notice(EVENT.created, "/x"));
    bench.say(notice(EVENT.changed, "/a"));
    const [read, ...more] = bench.sent();
    assert.deepEqual([read?.op, more], [OP.multiRead, []]);
    bench.advance(2 * NO_HURRY_MS);
    assert.deepEqual(ops(bench), []);
    bench.say(reply(read?.xid ?? 0, 2n, ERR.noAuth));
    assert.deepEqual(notified(bench.news), [["/x", "/a"]]);
    bench.news.length = 0;
    bench.say(notice(EVENT.changed, "/x"));
    const outcome = ask(bench, "/q");
    const [request] = bench.sent();
    bench.advance(2 * NO_HURRY_MS);
    assert.deepEqual(ops(bench), [], "an answer is due");
    bench.say(reply(request?.xid ?? 0, 3n, ERR.noNode));
    assert.deepEqual(bench.kinds(), ["notifications", "deliver"]);
    assert.equal(outcome.said.length, 1);
    bench.advance(2 * NO_HURRY_MS);
    assert.deepEqual(ops(bench), []);
  });
  it("of a connection that broke while there was no hurry are neither told nor asked for", () => {
    const bench = unhurried();
    // A connection that stood for a while is made anew at once.
    bench.advance(1_500);
    bench.say(notice(EVENT.created, "/x"));
    bench.close();
    bench.greet();
    assert.ok(bench.kinds().includes("ready"));
    bench.sent();
    bench.advance(2 * NO_HURRY_MS);
    assert.deepEqual([ops(bench), notified(bench.news)], [[], []]);
  });
  it("of a connection that broke are not told", () => {
    const bench = ready();
    bench.say(notice(EVENT.created, "/a"));
    bench.close();
    assert.deepEqual(notified(bench.news), []);
  });
});

describe("nonsense", () => {
  const table: readonly [string, RegExp, (xid: number) => Uint8Array][] = [
    ["a frame of negative length", /a frame of -1 bytes/, () => Uint8Array.of(255, 255, 255, 255)],
    ["a frame that is too long", /a frame of 2130706432 bytes/, () => Uint8Array.of(0x7f, 0, 0, 0)],
    ["half a header", /the zxid is cut off/, () => Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 1)],
    ["another number", /an answer with number 9 where 1 \(getChildren \/x\) is due/, () => reply(9, 1n)],
    ["half a body", /the answer to getChildren \/x: the count of children is cut off/, (xid) => reply(xid, 1n)],
    ["an endless list", /the count of children is 1000000/, (xid) => reply(xid, 1n, 0, (w) => w.int(1_000_000))],
    ["a path that is no text", /no UTF-8/, () => reply(-1, 1n, 0, (w) => w.int(1).int(3).buffer(Uint8Array.of(0xff)))],
    ["a notification of another kind", /a notification of type 7/, () => notice(7, "/x")],
    ["pings", /a ping that was not sent/, () => reply(XID.ping, 1n)],
    ["watches", /watches that were not sent/, () => reply(XID.setWatches, 1n)],
  ];
  for (const [name, reason, bytes] of table) {
    it(`${name}: the connection is dropped with the reason, and what was under way fails with it`, () => {
      const bench = ready();
      const outcome = new Outcome<string[]>();
      bench.take(bench.session.submit(getChildren("/x"), outcome, bench.nowMs));
      bench.say(bytes(bench.sent()[0]?.xid ?? 0));
      assert.equal(bench.drops, 1);
      assert.equal(outcome.said.length, 1);
      assert.match(outcome.reason, reason);
      assert.match(reasons(bench.news)[0] ?? "", /^disconnected: s\d:2181 made no sense: /);
      bench.advance(15);
      bench.resolve();
      bench.greet();
      assert.equal(bench.kinds().at(-1), "ready");
    });
  }
  it("an answer that nobody asked for", () => {
    const bench = ready();
    bench.say(reply(1, 1n));
    assert.match(reasons(bench.news)[0] ?? "", /nothing was asked/);
  });
});
