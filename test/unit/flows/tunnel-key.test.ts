import assert from "node:assert/strict";
import { it } from "node:test";
import {
  FLOW_STATE_KEY,
  isPortKey,
  isTracedKey,
  KEY_MASK,
  MAX_PORT_KEY,
  TRACE_BIT,
  TYPE_MASK,
  withoutTraceBit,
  withTraceBit,
} from "#core/flows";

it("the parts of a tunnel key do not overlap, and fill its 24 bits", () => {
  assert.equal(TRACE_BIT & TYPE_MASK, 0);
  assert.equal(TRACE_BIT & KEY_MASK, 0);
  assert.equal(TYPE_MASK & KEY_MASK, 0);
  assert.equal(TRACE_BIT | TYPE_MASK | KEY_MASK, 0xff_ffff);
});

it("no allocatable key looks traced or reserved, and each comes back from its traced form", () => {
  let wrong = 0;
  for (let key = 1; key <= MAX_PORT_KEY; key++) {
    const traced = withTraceBit(key);
    const fine =
      isPortKey(key) &&
      !isTracedKey(key) &&
      (key & TYPE_MASK) === 0 &&
      key !== FLOW_STATE_KEY &&
      isTracedKey(traced) &&
      !isPortKey(traced) &&
      traced !== FLOW_STATE_KEY &&
      traced <= 0xff_ffff &&
      withTraceBit(traced) === traced &&
      withoutTraceBit(traced) === key &&
      withoutTraceBit(key) === key;
    if (!fine) wrong++;
  }
  assert.equal(wrong, 0);
});

it("nothing else is allocatable", () => {
  for (const key of [
    -1,
    0,
    0.5,
    MAX_PORT_KEY + 1,
    TRACE_BIT,
    TYPE_MASK,
    FLOW_STATE_KEY,
    2 ** 24,
    2 ** 32 + 1,
    Number.NaN,
  ]) {
    assert.equal(isPortKey(key), false, String(key));
  }
});

it("the key of state messages has the trace bit, and is not traced", () => {
  assert.notEqual(FLOW_STATE_KEY & TRACE_BIT, 0);
  assert.equal(isTracedKey(FLOW_STATE_KEY), false);
});
