import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { ByteWriter, readU16, readU32 } from "#core/base";
import { errorName, OFPT, Output, Session, SESSION_LIMITS, type SessionHandler } from "#protocols/openflow";
import { FROM_SWITCH as S } from "../../support/openflow-samples.ts";

interface Sent {
  readonly type: number;
  readonly xid: number;
  readonly bytes: Uint8Array;
}

/** A session with what it says and sends. */
class Talk {
  readonly said: string[] = [];
  readonly output = new Output(64);
  readonly session: Session;
  now = 1000;

  constructor(receivesEvents = true) {
    const handler: SessionHandler = {
      ready: (f) => this.said.push(`ready ${f.datapathId} ${f.tables} tables`),
      packetIn: (m, b) =>
        this.said.push(
          `packet ${m.inPort} ${m.tunnelKey} ${m.tunnelSrc} ${m.tunnelDst} table ${m.table} cookie ${m.cookieHigh}/${m.cookieLow}: ${b.slice(m.frameStart, m.frameEnd).join()}`,
        ),
      flowRemoved: (r) => this.said.push(`removed ${r.cookieHigh}/${r.cookieLow} ${r.reason} ${r.packets} ${r.bytes}`),
      refused: (e, b, text) => this.said.push(`refused ${text} (${e.dataEnd - e.dataStart} of ${b.length > 0})`),
      failed: (reason) => this.said.push(`failed: ${reason}`),
    };
    this.session = new Session(this.output, handler, { receivesEvents });
  }

  hears(...messages: Uint8Array[]): void {
    for (const m of messages) this.session.received(m, this.now);
  }

  sent(): Sent[] {
    const list: Sent[] = [];
    const bytes = this.output.take();
    for (let at = 0; at < bytes.length; at += readU16(bytes, at + 2)) {
      list.push({
        type: bytes[at + 1] as number,
        xid: readU32(bytes, at + 4),
        bytes: bytes.slice(at, at + readU16(bytes, at + 2)),
      });
    }
    return list;
  }

  /** Up to the end of the handshake. */
  shake(): this {
    this.session.opened(this.now);
    this.hears(S.hello());
    const request = this.sent().at(-1) as Sent;
    this.hears(S.features(request.xid));
    this.said.length = 0;
    return this;
  }
}

const barrierXid = (talk: Talk): number => (talk.sent().at(-1) as Sent).xid;

describe("OpenFlow session", () => {
  let talk = new Talk();
  beforeEach(() => {
    talk = new Talk().shake();
    talk.sent();
  });

  it("shakes hands, and asks for events only where it is to", () => {
    for (const events of [true, false]) {
      const t = new Talk(events);
      t.session.opened(0);
      const first = t.sent();
      assert.deepEqual(
        first.map((m) => m.type),
        [OFPT.HELLO],
      );
      t.hears(S.hello());
      const request = t.sent();
      assert.deepEqual(
        request.map((m) => m.type),
        [OFPT.FEATURES_REQUEST],
      );
      assert.equal(t.session.isReady, false);
      t.hears(S.features((request[0] as Sent).xid));
      assert.deepEqual(
        t.sent().map((m) => m.type),
        events ? [OFPT.SET_CONFIG] : [],
      );
      assert.deepEqual(t.said, ["ready 0000000100000002 254 tables"]);
      assert.equal(t.session.isReady, true);
    }
  });

  it("says why there is no version in common", () => {
    const cases: [Uint8Array, RegExp][] = [
      [S.hello(1, 1 << 1), /does not offer OpenFlow 1\.3/],
      [S.message(0, 1, new Uint8Array(), 1), /wire version 1 at most/],
      [S.message(0, 1, new ByteWriter().u16(1).u16(200).finish()), /element that does not fit/],
      [S.error(1, 0, 0, new TextEncoder().encode("ask")), /HELLO_FAILED\/INCOMPATIBLE/],
    ];
    for (const [hello, why] of cases) {
      const t = new Talk();
      t.session.opened(0);
      t.hears(hello);
      assert.equal(t.said.length, 1);
      assert.match(t.said[0] as string, why);
    }
  });

  it("hands packets on, with tunnel fields only from tunnels", () => {
    const frame = Uint8Array.from({ length: 20 }, (_, i) => i);
    talk.hears(S.packetIn({ inPort: 7, frame }));
    talk.hears(
      S.packetIn({ inPort: 100, frame: frame.slice(0, 3), tunnel: [0x80_002a, 0xc0a8_0a01, 0xc0a8_0a02], table: 1 }),
    );
    talk.hears(S.packetIn({ inPort: 1, frame: new Uint8Array() }));
    assert.deepEqual(talk.said, [
      `packet 7 0 0 0 table 0 cookie 4292870144/1: ${frame.join()}`,
      "packet 100 8388650 3232238081 3232238082 table 1 cookie 4292870144/1: 0,1,2",
      "packet 1 0 0 0 table 0 cookie 4292870144/1: ",
    ]);
  });

  it("reads counts beyond 32 bits; all ones are none", () => {
    const bytes = S.flowRemoved({ high: 0x20_0000, low: 9, reason: 1, packets: 3, bytes: 4 });
    bytes[35] = 1;
    bytes.fill(0xff, 40, 48);
    talk.hears(bytes);
    assert.deepEqual(talk.said, [`removed 2097152/9 1 ${2 ** 32 + 3} 0`]);
  });

  it("whatever way the stream is cut, the messages are the same", () => {
    const frame = Uint8Array.from({ length: 50 }, (_, i) => i);
    const stream = new ByteWriter();
    stream.append(S.message(OFPT.ECHO_REPLY, 1, new Uint8Array()));
    for (let i = 1; i <= 4; i++) stream.append(S.packetIn({ inPort: i, frame: frame.slice(0, i * 7) }));
    stream.append(S.flowRemoved({ high: 1, low: 2, reason: 0, packets: 3, bytes: 4 }));
    const bytes = stream.finish();
    const whole = new Talk().shake();
    whole.hears(bytes);
    assert.equal(whole.said.length, 5);
    for (let step = 1; step < 90; step++) {
      const t = new Talk().shake();
      for (let at = 0; at < bytes.length; at += step) t.hears(bytes.slice(at, at + step));
      assert.deepEqual(t.said, whole.said);
    }
  });

  it("finds the request of a reply by its xid", () => {
    const done: string[] = [];
    talk.session.barrier(() => done.push("one"));
    const one = barrierXid(talk);
    talk.session.barrier(() => done.push("two"));
    const two = barrierXid(talk);
    talk.hears(
      S.message(OFPT.BARRIER_REPLY, two, new Uint8Array()),
      S.message(OFPT.BARRIER_REPLY, one, new Uint8Array()),
    );
    assert.deepEqual(done, ["two", "one"]);
    talk.hears(S.message(OFPT.BARRIER_REPLY, one, new Uint8Array()));
    assert.match(talk.said[0] as string, /^failed: unexpected BARRIER_REPLY/);
  });

  it("collects statistics over several parts", () => {
    const seen: string[] = [];
    const all = { table: 0xff, cookie: { high: 0, low: 0 }, cookieMask: { high: 0, low: 0 } };
    talk.session.flowStats(
      all,
      (r) => seen.push(`${r.table}/${r.priority} ${r.cookieHigh}/${r.cookieLow} ${r.packets} ${r.bytes}`),
      () => seen.push("done"),
    );
    const xid = barrierXid(talk);
    talk.hears(
      S.flowStats(xid, [{ high: 1, low: 2, packets: 3, table: 4, priority: 5 }], true),
      S.flowStats(xid, [], true),
    );
    talk.hears(S.flowStats(xid, [{ high: 6, low: 7, packets: 8 }]));
    assert.deepEqual(seen, ["4/5 1/2 3 300", "0/1000 6/7 8 800", "done"]);
    talk.session.aggregate(all, (sum) => seen.push(`${sum.packets} ${sum.bytes} ${sum.flows}`));
    talk.hears(S.aggregate(barrierXid(talk), 11, 2));
    talk.session.ports((ports) => seen.push(ports.map((p) => `${p.name}=${p.ofport} ${p.live}`).join()));
    talk.hears(
      S.ports(barrierXid(talk), [
        { ofport: 1, name: "sixteen_letters_", live: true },
        { ofport: 0xffff_fffe, name: "br", live: false },
      ]),
    );
    assert.deepEqual(seen.slice(3), ["11 11 2", "sixteen_letters_=1 true,br=4294967294 false"]);
    assert.deepEqual(talk.said, []);
  });

  it("names what was refused", () => {
    const mod = S.message(OFPT.FLOW_MOD, 5, new Uint8Array(56));
    talk.hears(S.error(5, 4, 9, mod), S.error(6, 0xffff, 44, Uint8Array.of(0, 0, 0x23, 0x20)), S.error(7, 99, 3, mod));
    assert.deepEqual(talk.said, [
      "refused FLOW_MOD was refused: BAD_MATCH/BAD_PREREQ (64 of true)",
      "refused a message was refused: EXPERIMENTER 0x2320/44 (0 of true)",
      "refused FLOW_MOD was refused: error type 99/3 (64 of true)",
    ]);
    talk.session.barrier(() => assert.fail("refused"));
    talk.hears(S.error(barrierXid(talk), 1, 1, new Uint8Array()));
    assert.equal(talk.said[3], "failed: BARRIER_REQUEST was refused: BAD_REQUEST/BAD_TYPE");
    assert.equal(errorName(5, 1), "FLOW_MOD_FAILED/TABLE_FULL");
  });

  it("answers an echo request with its own payload", () => {
    talk.hears(S.message(OFPT.ECHO_REQUEST, 77, Uint8Array.of(1, 2, 3)));
    assert.deepEqual(
      talk.sent().map((m) => [m.type, m.xid, ...m.bytes.slice(8)]),
      [[OFPT.ECHO_REPLY, 77, 1, 2, 3]],
    );
  });

  it("asks a silent switch for an echo, and gives up when none comes", () => {
    const tick = (ms: number): void => talk.session.tick((talk.now += ms));
    tick(SESSION_LIMITS.quietMs);
    assert.deepEqual(talk.sent(), []);
    tick(1);
    assert.deepEqual(
      talk.sent().map((m) => m.type),
      [OFPT.ECHO_REQUEST],
    );
    tick(SESSION_LIMITS.echoMs);
    talk.hears(S.message(OFPT.ECHO_REPLY, 1, new Uint8Array()));
    tick(SESSION_LIMITS.quietMs + 1);
    tick(SESSION_LIMITS.echoMs);
    assert.deepEqual(talk.said, []);
    tick(1);
    assert.deepEqual(talk.said, [`failed: no reply to ECHO_REQUEST within ${SESSION_LIMITS.echoMs} ms`]);
    tick(100_000);
    talk.hears(S.packetIn({ inPort: 1, frame: new Uint8Array(9) }));
    assert.equal(talk.said.length, 1, "nothing is said after the end");
  });

  it("gives up without handshake, and without replies", () => {
    const t = new Talk();
    t.session.opened(0);
    t.session.tick(SESSION_LIMITS.handshakeMs);
    assert.deepEqual(t.said, []);
    t.session.tick(SESSION_LIMITS.handshakeMs + 1);
    assert.match(t.said.join(), /no handshake/);
    talk.session.barrier(() => assert.fail("no reply"));
    talk.now += SESSION_LIMITS.replyMs + 1;
    talk.hears(S.message(OFPT.ECHO_REPLY, 1, new Uint8Array()));
    talk.session.tick(talk.now);
    assert.match(talk.said.join(), /no reply to BARRIER_REQUEST/);
  });

  const bare = new Uint8Array();
  const unexpected: readonly (readonly [string, Uint8Array, string])[] = [
    ["an unknown type", S.message(77, 1, bare), "unknown message type 77"],
    ["another version", S.message(OFPT.ECHO_REPLY, 1, bare, 6), "ECHO_REPLY in OpenFlow wire version 6"],
    ["a request", S.message(OFPT.FLOW_MOD, 1, new Uint8Array(60)), "a switch does not send FLOW_MOD here"],
    ["a role reply", S.message(25, 1, new Uint8Array(24)), "a switch does not send ROLE_REPLY here"],
    ["an experimenter", S.message(OFPT.EXPERIMENTER, 1, new Uint8Array(8)), "a switch does not send EXPERIMENTER here"],
    ["a short one", S.message(OFPT.PACKET_IN, 1, new Uint8Array(9)), "PACKET_IN of 17 bytes, 34 are the least"],
    ["a second hello", S.hello(), "unexpected HELLO (xid 1) in state ready"],
    ["a second handshake", S.features(3), "unexpected FEATURES_REPLY (xid 3) in state ready"],
    ["a reply to nothing", S.flowStats(9, []), "unexpected MULTIPART_REPLY FLOW (xid 9)"],
    ["a length below the header's", Uint8Array.of(4, 2, 0, 7, 0, 0, 0, 0), "ECHO_REQUEST of 7 bytes, 8 are the least"],
  ];
  for (const [name, bytes, why] of unexpected)
    it(`ends at ${name}, and says so once`, () => {
      talk.hears(bytes, bytes);
      assert.deepEqual(talk.said, [`failed: ${why}`]);
    });

  it("ends at packets whose match is not one", () => {
    const frame = new Uint8Array(20);
    const cut = S.packetIn({ inPort: 1, frame });
    cut[27] = 200;
    const inHeader = S.packetIn({ inPort: 1, frame });
    inHeader[27] = 6;
    const inField = S.packetIn({ inPort: 1, frame });
    inField[31] = 99;
    const none = S.packetIn({ inPort: 1, frame });
    none[29] = 9;
    const all = [cut, inHeader, inField, none].map((bytes) => {
      const t = new Talk().shake();
      t.hears(bytes);
      return t.said.join();
    });
    assert.deepEqual(all, [
      "failed: PACKET_IN whose match does not fit",
      "failed: PACKET_IN whose match ends in a field's header",
      "failed: PACKET_IN whose match ends within field 0x80000063",
      "failed: PACKET_IN without input port",
    ]);
  });

  it("ends at statistics that do not fit their message, or their question", () => {
    const all = { table: 0xff, cookie: { high: 0, low: 0 }, cookieMask: { high: 0, low: 0 } };
    const ask = (t: Talk): number => {
      t.session.flowStats(
        all,
        () => {},
        () => {},
      );
      return barrierXid(t);
    };
    const broken = (change: (bytes: Uint8Array) => void): string => {
      const t = new Talk().shake();
      const bytes = S.flowStats(ask(t), [{ high: 1, low: 1, packets: 1 }]);
      change(bytes);
      t.hears(bytes);
      return t.said.join();
    };
    assert.equal(
      broken((b) => (b[17] = 57)),
      "failed: MULTIPART_REPLY FLOW with an entry that does not fit",
    );
    assert.equal(
      broken((b) => (b[17] = 0)),
      "failed: MULTIPART_REPLY FLOW with an entry that does not fit",
    );
    assert.equal(broken((b) => (b[9] = 3)).replace(/\d+\)$/, "n)"), "failed: unexpected MULTIPART_REPLY TABLE (xid n)");
    assert.equal(
      broken((b) => (b[9] = 2)),
      "failed: MULTIPART_REPLY AGGREGATE in answer to FLOW statistics",
    );
    const t = new Talk().shake();
    t.hears(S.aggregate(ask(t), 1, 1));
    assert.equal(t.said[0], "failed: MULTIPART_REPLY AGGREGATE in answer to FLOW statistics");
  });
});
