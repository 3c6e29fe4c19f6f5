import assert from "node:assert/strict";
import { it } from "node:test";
import { EventBudget } from "../../../src/apps/agent/event-budget.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

it("steps down one detail at a time, and up again when there is room", async () => {
  const time = new VirtualTime();
  const budget = new EventBudget(time, { perHost: 100, perRequest: 1_000 });
  const spend = (events: number): string => {
    budget.charge(["r"], events);
    return budget.level();
  };
  assert.equal(spend(75), "full", "a quarter is left");
  assert.equal(spend(1), "verdict");
  assert.equal(spend(24), "verdict", "nothing is left");
  assert.equal(spend(1), "count");
  assert.equal(budget.steppedDown, 2);
  await time.advance(130);
  assert.equal(budget.level(), "count");
  await time.advance(10);
  assert.equal(budget.level(), "verdict", "an eighth");
  await time.advance(360);
  assert.equal(budget.level(), "verdict", "not yet the half");
  await time.advance(10);
  assert.equal(budget.level(), "full");
  assert.equal(budget.steppedDown, 2);
});

it("a debt is paid back before anything is recorded again", async () => {
  const time = new VirtualTime();
  const budget = new EventBudget(time, { perHost: 10, perRequest: 10 });
  budget.charge([], 50);
  assert.deepEqual([budget.level(), budget.level()], ["verdict", "count"]);
  await time.advance(4_100);
  assert.equal(budget.level(), "count");
  await time.advance(100);
  assert.equal(budget.level(), "verdict");
});

it("a request has its own, and what the host has not, it has not either", () => {
  const budget = new EventBudget(new VirtualTime(), { perHost: 1_000, perRequest: 100 });
  budget.charge(["a"], 90);
  assert.deepEqual([budget.level(), budget.detailFor("a"), budget.detailFor("b")], ["full", "verdict", "full"]);
  budget.charge(["b"], 700);
  assert.deepEqual([budget.detailFor("b"), budget.detailFor("b")], ["verdict", "count"]);
  assert.deepEqual([budget.detailFor("a"), budget.detailFor("c")], ["verdict", "verdict"]);
});

it("without limits nothing is ever left out", () => {
  const budget = new EventBudget(new VirtualTime());
  budget.charge(["a"], Number.MAX_SAFE_INTEGER);
  assert.equal(budget.detailFor("a"), "full");
});
