import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EventStreamParser } from "#apps/web/model";
import * as fc from "fast-check";

const TEXT =
  'retry: 2000\nid: 7\n\n: still here\n\nevent: flow\nid: 8\ndata: {"a":\ndata: 1}\n\nevent: end\ndata: {"reason":"x"}\n\n';

describe("the stream's parser", () => {
  it("reads events, ids without data, several lines of data and the retry time", () => {
    const parser = new EventStreamParser();
    assert.deepEqual(parser.push(TEXT), [
      { event: "flow", data: '{"a":\n1}', id: "8" },
      { event: "end", data: '{"reason":"x"}', id: "8" },
    ]);
    assert.deepEqual([parser.retryMs, parser.lastId], [2000, "8"]);
  });

  it("takes the id of an event that has no data: it is where a client resumes", () => {
    const parser = new EventStreamParser();
    assert.deepEqual(parser.push("id: 41\n\n"), []);
    assert.equal(parser.lastId, "41");
  });

  it("gives the same events wherever the text is cut, with every kind of line end", () => {
    const whole = new EventStreamParser().push(TEXT);
    fc.assert(
      fc.property(
        fc.constantFrom("\n", "\r\n"),
        fc.array(fc.nat({ max: TEXT.length * 2 }), { maxLength: 12 }),
        (lineEnd, cuts) => {
          const text = `\ufeff${TEXT.replaceAll("\n", lineEnd)}`;
          const parser = new EventStreamParser();
          const at = [...cuts.filter((c) => c < text.length), text.length].sort((a, b) => a - b);
          let from = 0;
          const events = at.flatMap((to) => {
            const piece = text.slice(from, to);
            from = to;
            return parser.push(piece);
          });
          assert.deepEqual(events, whole);
        },
      ),
    );
  });
});
