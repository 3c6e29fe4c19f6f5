import { chainAnswer, chainBody, routeAnswer, routeBody, ruleAnswer, ruleBody } from "./dto-rules.ts";
import { createRoute, deleteRoute, getRoute, listRoute } from "./resource-routes.ts";
import { ownRead, ownWrite } from "./route.ts";
import { tenantFilter } from "./routes-devices.ts";

const CHAIN = { media: "Chain", noun: "chain", schema: chainAnswer } as const;
const RULE = { media: "Rule", noun: "rule", schema: ruleAnswer } as const;
const ROUTE = { media: "Route", noun: "route", schema: routeAnswer } as const;

export const filterRoutes = {
  listChains: listRoute("/midonet-api/chains", CHAIN, ownRead("each-listed"), tenantFilter),
  createChain: createRoute("/midonet-api/chains", CHAIN, chainBody, ownWrite("body")),
  getChain: getRoute("/midonet-api/chains/{id}", CHAIN, ownRead("chain")),
  deleteChain: deleteRoute("/midonet-api/chains/{id}", CHAIN, ownWrite("chain")),
  listRules: listRoute("/midonet-api/chains/{id}/rules", RULE, ownRead("chain"), undefined, "as-listed"),
  createRule: createRoute("/midonet-api/chains/{id}/rules", RULE, ruleBody, ownWrite("chain")),
  getRule: getRoute("/midonet-api/rules/{id}", RULE, ownRead("rule")),
  deleteRule: deleteRoute("/midonet-api/rules/{id}", RULE, ownWrite("rule")),
  listRoutes: listRoute("/midonet-api/routers/{id}/routes", ROUTE, ownRead("router")),
  createRoute: createRoute("/midonet-api/routers/{id}/routes", ROUTE, routeBody, ownWrite("router")),
  getRoute: getRoute("/midonet-api/routes/{id}", ROUTE, ownRead("route")),
  deleteRoute: deleteRoute("/midonet-api/routes/{id}", ROUTE, ownWrite("route"), ["CONFLICT"]),
} as const;
