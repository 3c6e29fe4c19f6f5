import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { base64Decode, base64Encode } from "#core/base";

it("base64 is the platform's, both ways", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const text = base64Encode(bytes);
      assert.equal(text, Buffer.from(bytes).toString("base64"));
      assert.deepEqual(base64Decode(text), bytes);
    }),
  );
});

it("what is not base64 is null", () => {
  for (const text of ["A", "AA", "AAA", "A===", "====", "AA=A", "A-AA", "AAé=", "AAAA\n"])
    assert.equal(base64Decode(text), null, text);
  assert.deepEqual(base64Decode(""), new Uint8Array(0));
});
