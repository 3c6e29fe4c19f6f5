import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { allRoutes, CALLERS, type OperationId, type Route } from "#core/api-contract";
import { documentedGrants, mutantsOf, type Routes, Walk, WHOSE } from "../support/walk.ts";

describe("the walk of routes × callers × ownership", () => {
  it("the table in the documentation has every route, and no other", () => {
    assert.deepEqual(
      [...documentedGrants().keys()].toSorted(),
      allRoutes()
        .map(([operation]) => operation)
        .toSorted(),
    );
  });

  it("a running server does what the table says", async () => {
    const walk = await Walk.start(allRoutes());
    try {
      const problems: string[] = [];
      for (const [operation, route] of allRoutes()) problems.push(...(await walk.route(operation, route)));
      assert.deepEqual(problems, []);
      assert.ok(walk.requests > allRoutes().length * CALLERS.length, `${walk.requests} requests`);
      const owned = allRoutes().filter(([, r]) => "owner" in r.roles).length;
      assert.ok(walk.requests > owned * CALLERS.length * WHOSE.length, `${walk.requests} requests`);
    } finally {
      await walk.stop();
    }
  });

  it("another declaration of any one route is found", async () => {
    const mutants = new Map(allRoutes().map(([operation, route]) => [operation, mutantsOf(route.roles)]));
    const rounds = Math.max(...[...mutants.values()].map((m) => m.length));
    const survivors: string[] = [];
    let killed = 0;
    for (let round = 0; round < rounds; round++) {
      // Routes do not know of each other: one server has another declaration for each of them.
      const mutated: Routes = allRoutes().flatMap(([operation, route]): [OperationId, Route][] => {
        const roles = mutants.get(operation)?.[round];
        return roles === undefined ? [] : [[operation, { ...route, roles }]];
      });
      const walk = await Walk.start(mutated);
      try {
        for (const [operation, route] of mutated) {
          if ((await walk.route(operation, route, true)).length > 0) killed++;
          else survivors.push(`${operation}: ${JSON.stringify(route.roles)}`);
        }
      } finally {
        await walk.stop();
      }
    }
    assert.deepEqual(survivors, []);
    assert.ok(killed >= 3 * allRoutes().length, `${killed} declarations`);
  });
});
