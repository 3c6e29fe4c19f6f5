import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { JsonTexts, Malformed } from "#protocols/ovsdb";
import { bytes, SERVER_MESSAGES } from "../../support/ovsdb-samples.ts";

const reason = (last: string | Malformed | undefined): string => (last instanceof Malformed ? last.reason : "none");

const parsed = (text: string | Malformed): unknown => (typeof text === "string" ? JSON.parse(text) : text.reason);

describe("framing of JSON texts", () => {
  const stream = Buffer.concat(SERVER_MESSAGES.map(bytes));

  it("finds texts back to back, wherever the stream is cut", () => {
    for (let cut = 0; cut <= stream.length; cut++) {
      const texts = new JsonTexts();
      const found = [...texts.push(stream.subarray(0, cut)), ...texts.push(stream.subarray(cut))];
      assert.deepEqual(found.map(parsed), SERVER_MESSAGES);
      assert.equal(texts.pendingBytes, 0);
    }
  });

  it("finds them in single bytes, also of characters longer than one", () => {
    const texts = new JsonTexts();
    const found = [...stream].flatMap((_, i) => texts.push(stream.subarray(i, i + 1)));
    assert.deepEqual(found.map(parsed), SERVER_MESSAGES);
  });

  it("does not count what stands in strings, and allows white space between texts", () => {
    const tricky = ['{"a":"}"}', '{"a":"\\"}{"}', '{"a":"\\\\"}', '{"a":{"b":"{"}}', '{"%":"100%25"}'];
    const texts = new JsonTexts();
    assert.deepEqual(texts.push(bytes(` \n${tricky.join("\r\n\t ")} `)), tricky);
  });

  it("refuses what is no object, naming the byte; texts before it are handed on", () => {
    for (const [text, byte] of [
      ["[]", "0x5b"],
      ["}", "0x7d"],
      ["x", "0x78"],
      ['"{}"', "0x22"],
      ["\0", "0x00"],
    ] as const) {
      const found = new JsonTexts().push(bytes(`{}${text}`));
      assert.equal(found.length, 2);
      assert.equal(found[0], "{}");
      assert.equal(reason(found[1]), `a message begins with ${byte}`);
    }
  });

  it("refuses what is no UTF-8", () => {
    for (const wrong of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82], [0xf5, 0x80, 0x80, 0x80]]) {
      const found = new JsonTexts().push(Buffer.concat([bytes('{"a":"'), Uint8Array.from(wrong), bytes('"}')]));
      assert.equal(reason(found[0]), "a message is not UTF-8");
    }
  });

  it("has a limit, for texts in one piece and in many, ended or not", () => {
    const exact = bytes(`{"a":"${"x".repeat(92)}"}`);
    assert.equal(exact.length, 100);
    assert.equal(new JsonTexts(100).push(exact).length, 1);
    assert.equal(reason(new JsonTexts(99).push(exact)[0]), "a message is longer than 99 bytes");
    const pieces = new JsonTexts(99);
    let last: string | Malformed | undefined;
    for (let i = 0; i < exact.length && last === undefined; i++) last = pieces.push(exact.subarray(i, i + 1))[0];
    assert.equal(reason(last), "a message is longer than 99 bytes");
    assert.ok(pieces.pendingBytes <= 100, "no more is kept than the limit");
    // The limit is for one text, not for the stream.
    const many = new JsonTexts(100);
    for (let i = 0; i < 50; i++) assert.equal(many.push(exact).length, 1);
  });
});
