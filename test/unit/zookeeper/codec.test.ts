import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { hex, unhex } from "#core/base";
import {
  ACL_OPEN,
  addWatch,
  create,
  decodeConnectRequest,
  decodeConnectResponse,
  encodeConnectRequest,
  encodeSetWatches,
  ERR,
  firstBeyond,
  FrameSplitter,
  getChildren,
  getData,
  isEphemeral,
  JuteReader,
  JuteWriter,
  multi,
  type MultiOp,
  multiRead,
  utf8Bytes,
  utf8Text,
} from "#protocols/zookeeper";
import { greeting, joined, PASSWORD, stat } from "../../support/zookeeper-bytes.ts";

const bytes = (text: string): Uint8Array => unhex(text) as Uint8Array;

describe("UTF-8 of paths", () => {
  it("is that of the platform, both ways", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        assert.deepEqual(Buffer.from(utf8Bytes(text)), Buffer.from(text, "utf8"));
        assert.equal(utf8Text(Buffer.from(text, "utf8")), text.toWellFormed());
      }),
    );
  });
  it("of any bytes is what a strict decoder says", () => {
    const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    const platform = (b: Uint8Array): string | null => {
      try {
        return strict.decode(b);
      } catch {
        return null;
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 8 }), (b) => assert.equal(utf8Text(b), platform(b))));
    for (const wrong of ["c080", "e09fbf", "eda080", "f08fbfbf", "f4908080", "80", "e28", "f0"].map((t) =>
      t.padEnd(t.length + (t.length % 2), "0"),
    ))
      assert.equal(utf8Text(bytes(wrong)), platform(bytes(wrong)), wrong);
    assert.equal(utf8Text(utf8Bytes("x".repeat(10_001))), "x".repeat(10_001));
  });
});

describe("jute", () => {
  it("reads back what was written", () => {
    const record = fc.tuple(
      fc.boolean(),
      fc.integer(),
      fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
      fc.uint8Array(),
      fc.string(),
    );
    fc.assert(
      fc.property(record, fc.array(fc.string()), ([b, i, l, buffer, text], texts) => {
        const w = new JuteWriter(1).bool(b).int(i).long(l).buffer(buffer).ustring(text).ustrings(texts);
        const r = new JuteReader(w.finish());
        assert.deepEqual([r.bool("b"), r.int("i"), r.long("l"), r.ustring.length], [b, i, l, 1]);
        assert.deepEqual(r.buffer("buffer"), buffer);
        assert.equal(r.ustring("text"), text);
        assert.deepEqual(
          r.vector("texts", (v) => v.ustring("text")),
          texts,
        );
        assert.deepEqual([r.failure, r.remaining], [null, 0]);
      }),
    );
  });
  it("names what is cut off, or impossible, and reads on as zero", () => {
    const r = new JuteReader(bytes("000000"));
    assert.deepEqual([r.int("the count"), r.long("l"), r.ustring("t")], [0, 0n, ""]);
    assert.equal(r.failure, "the count is cut off (at byte 0 of 3)");
    const negative = new JuteReader(bytes("fffffffe"));
    negative.buffer("the data");
    assert.match(negative.failure ?? "", /the length of the data is -2/);
    const many = new JuteReader(bytes("7fffffff00000000"));
    assert.deepEqual(
      many.vector("names", (v) => v.ustring("name")),
      [],
    );
    assert.match(many.failure ?? "", /the count of names is 2147483647, with 4 bytes left/);
    const none = new JuteReader(bytes("ffffffffffffffff"));
    assert.deepEqual(
      [none.buffer("b"), none.vector("v", (v) => v.int("i")), none.failure],
      [new Uint8Array(0), [], null],
    );
  });
});

describe("frames", () => {
  it("come whole, however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
        fc.array(fc.nat(30)),
        (bodies, cuts) => {
          const stream = joined(bodies.flatMap((body) => [new JuteWriter().int(body.length).finish(), body]));
          const splitter = new FrameSplitter(100);
          const got: Uint8Array[] = [];
          let at = 0;
          for (const cut of [...cuts, stream.length]) {
            splitter.push(stream.subarray(at, at + cut));
            at += cut;
            for (let next = splitter.next(); next.kind === "frame"; next = splitter.next()) got.push(next.bytes);
          }
          assert.deepEqual(got, bodies);
        },
      ),
    );
  });
  it("of impossible length are refused before they are collected", () => {
    for (const head of ["ffffffff", "00000065", "7fffffff"]) {
      const splitter = new FrameSplitter(100);
      splitter.push(bytes(head));
      assert.equal(splitter.next().kind, "malformed");
    }
  });
});

describe("messages", () => {
  it("golden bytes of the handshake", () => {
    const request = { lastZxid: 0x1_0000_0002n, timeoutMs: 10_000, session: { id: 0x1234n, password: PASSWORD } };
    const encoded = encodeConnectRequest(request);
    assert.equal(
      hex(encoded),
      [
        "0000002d",
        "00000000",
        "0000000100000002",
        "00002710",
        "0000000000001234",
        "00000010",
        "0102030405060708090a0b0c0d0e0f10",
        "00",
      ].join(""),
    );
    assert.deepEqual(decodeConnectRequest(encoded.subarray(4)), request);
    const none = encodeConnectRequest({ lastZxid: 0n, timeoutMs: 1, session: null });
    assert.equal(decodeConnectRequest(none.subarray(4))?.session, null);
  });
  it("the answer to the handshake, with and without its last byte", () => {
    const whole = greeting(-5n, 4000).subarray(4);
    const expected = { timeoutMs: 4000, session: { id: -5n, password: PASSWORD }, readOnly: false };
    assert.deepEqual(decodeConnectResponse(whole), expected);
    assert.deepEqual(decodeConnectResponse(whole.subarray(0, -1)), expected);
    assert.ok("malformed" in decodeConnectResponse(whole.subarray(0, -2)));
  });
  it("golden bytes of requests", () => {
    assert.equal(hex(getData("/x").frame), "0000000f0000000000000004000000022f7800");
    assert.equal(hex(addWatch("/x").frame), "00000012000000000000006a000000022f7800000001");
    const made = create("/e", { data: bytes("aa"), acl: ACL_OPEN, ephemeral: true });
    const head = "000000320000000000000001000000022f6500000001aa";
    const acl = "000000010000001f00000005776f726c6400000006616e796f6e65";
    assert.equal(hex(made.frame), `${head}${acl}00000001`);
  });
  it("SetWatches is cut into frames that a server takes, with every path once", () => {
    const paths = Array.from({ length: 9000 }, (_, i) => `/${"d".repeat(80)}/${i}`);
    const frames = encodeSetWatches(paths, 5n);
    assert.ok(frames.length > 5);
    const found = frames.flatMap((frame) => {
      assert.ok(frame.length < 140_000);
      const r = new JuteReader(frame);
      assert.deepEqual([r.int("length"), r.int("xid"), r.int("op"), r.long("zxid")], [frame.length - 4, -8, 105, 5n]);
      for (let i = 0; i < 4; i++) assert.equal(r.int("none of the other kinds"), 0);
      return r.vector("paths", (v) => v.ustring("path"));
    });
    assert.deepEqual(found, paths);
    assert.deepEqual(encodeSetWatches([], 5n), []);
  });
  it("no read asks for a one-shot watch", () => {
    for (const request of [getData("/x"), getChildren("/x")]) assert.equal(request.frame.at(-1), 0, request.name);
    const r = new JuteReader(multiRead(["/x"]).frame);
    for (let i = 0; i < 3; i++) r.int("header");
    assert.deepEqual(
      [r.int("type"), r.bool("done"), r.int("err"), r.ustring("path"), r.bool("watch")],
      [4, false, -1, "/x", false],
    );
  });
  it("owners that are no session make no node ephemeral", () => {
    const owned = (ephemeralOwner: bigint): boolean => isEphemeral({ createdZxid: 1n, version: 0, ephemeralOwner });
    assert.deepEqual([0n, 0x1000n, -(1n << 63n), -(1n << 56n) + 60_000n, -(1n << 58n)].map(owned), [
      false,
      true,
      false,
      false,
      true,
    ]);
  });
});

describe("transactions", () => {
  const set: MultiOp = { op: "set", path: "/s", data: bytes("01"), version: 0 };
  const ops: MultiOp[] = [
    { op: "create", path: "/c", data: bytes(""), acl: ACL_OPEN, ephemeral: false },
    set,
    { op: "delete", path: "/d", version: -1 },
    { op: "check", path: "/k", version: 3 },
  ];
  const head = (w: JuteWriter, type: number, err = 0): JuteWriter => w.int(type).bool(false).int(err);
  const end = (w: JuteWriter): Uint8Array => w.int(-1).bool(true).int(-1).finish();

  it("carry version 0 as 0", () => {
    const r = new JuteReader(multi([set]).frame);
    for (let i = 0; i < 3; i++) r.int("header");
    assert.deepEqual([r.int("type"), r.bool("done"), r.int("err"), r.ustring("path")], [5, false, -1, "/s"]);
    assert.deepEqual([r.buffer("data"), r.int("version")], [bytes("01"), 0]);
  });
  it("done", () => {
    const w = new JuteWriter();
    head(w, 1).ustring("/c");
    stat(head(w, 5));
    head(head(w, 2), 13);
    const r = new JuteReader(end(w));
    assert.equal(multi(ops).read(r), null);
    assert.deepEqual([r.failure, r.remaining], [null, 0]);
  });
  it("refused: the cause is the first that is neither in order nor not looked at", () => {
    const refused = (...codes: number[]): JuteReader => {
      const w = new JuteWriter();
      for (const code of codes) head(w, -1, code).int(code);
      return new JuteReader(end(w));
    };
    assert.deepEqual(multi(ops).read(refused(0, ERR.badVersion, -2, -2)), { index: 1, err: ERR.badVersion });
    for (const codes of [
      [0, 0, 0, 0],
      [-2, -2, -2, -2],
      [0, ERR.noNode],
    ]) {
      const r = refused(...codes);
      multi(ops).read(r);
      assert.ok(r.failure, String(codes));
    }
  });
  it("a bulk read gives data or an error for each, and as many as were asked", () => {
    const w = new JuteWriter();
    stat(head(w, 4).buffer(bytes("0a0b")), 9n, 4);
    head(w, -1, ERR.noNode).int(ERR.noNode);
    const body = end(w);
    const [first, second] = multiRead(["/a", "/b"]).read(new JuteReader(body));
    assert.equal(second, ERR.noNode);
    assert.deepEqual(first, { data: bytes("0a0b"), stat: { createdZxid: 9n, version: 4, ephemeralOwner: 0n } });
    const r = new JuteReader(body);
    multiRead(["/a"]).read(r);
    assert.match(r.failure ?? "", /2 results for 1 reads/);
  });
  it("the first operation beyond a size is the one that its bytes say", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...ops), { minLength: 1, maxLength: 12 }), fc.nat(600), (list, limit) => {
        const fits = (count: number): boolean => multi(list.slice(0, count)).frame.length - 4 <= limit;
        const expected = list.findIndex((_, i) => !fits(i + 1));
        assert.equal(firstBeyond(list, limit), expected < 0 ? null : expected);
      }),
    );
  });
});
