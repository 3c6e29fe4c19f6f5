import assert from "node:assert/strict";
import { test } from "node:test";
import { type FlowAction, sameActions } from "#core/flows";

const ONE_OF_EACH: readonly FlowAction[] = [
  { kind: "set-eth", src: 1, dst: 2 },
  { kind: "set-ipv4", src: 1, dst: null, ttl: 63 },
  { kind: "set-tp", src: null, dst: 80 },
  { kind: "arp-reply", mac: 1, ip: 2, toMac: 3, toIp: 4 },
  { kind: "push-vlan", vlan: 7 },
  { kind: "pop-vlan" },
  { kind: "set-tunnel", key: 42, dst: 9 },
  { kind: "output", port: 3 },
  { kind: "output-in-port" },
];

test("lists of equal actions are the same, whoever made them", () => {
  assert.equal(sameActions(ONE_OF_EACH, structuredClone(ONE_OF_EACH)), true);
  assert.equal(sameActions([], []), true);
});

test("another value in any field, another kind, order or length is not the same", () => {
  for (const [i, action] of ONE_OF_EACH.entries()) {
    for (const [field, value] of Object.entries(action)) {
      if (field === "kind") continue;
      const other = { ...action, [field]: value === null ? 0 : (value as number) + 1 } as FlowAction;
      assert.equal(sameActions([action], [other]), false, `${action.kind}.${field}`);
      assert.equal(sameActions([action], [{ ...action }]), true);
    }
    const next = ONE_OF_EACH[(i + 1) % ONE_OF_EACH.length] as FlowAction;
    assert.equal(sameActions([action], [next]), false);
    assert.equal(sameActions([action, next], [next, action]), false);
    assert.equal(sameActions([action], [action, action]), false);
  }
});
