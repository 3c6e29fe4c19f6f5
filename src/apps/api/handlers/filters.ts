import {
  chainFromBody,
  chainToDto,
  type FilterOperation,
  type Links,
  routeFromBody,
  routeToDto,
  ruleFromBody,
  ruleToDto,
} from "#core/api-contract";
import type { ChainId, RouteId, RouterId, RuleId } from "#core/base";
import type { Identity } from "#core/identity";
import type { PlacedRule } from "#core/nsdb";
import { created, type Deps, EMPTY, type Handlers, ignoringMissing, json } from "../call.ts";

/** Chains, rules and routes. */
export function filterHandlers({ nsdb, random }: Deps): Handlers<FilterOperation> {
  const ruleDto = async (rule: PlacedRule, links: Links, viewer: Identity) => {
    const target = rule.type === "jump" ? await nsdb.chains.find(rule.jumpChainId) : null;
    const own = viewer.admin || target?.tenantId === viewer.tenantId;
    return ruleToDto(rule, rule.position, own ? (target?.name ?? null) : null, links);
  };
  return {
    listChains: async ({ query, links }) =>
      json((await nsdb.chains.list({ tenantId: query.tenant_id })).map((c) => chainToDto(c, links))),
    createChain: async ({ body, links }) => {
      const chain = await nsdb.chains.create(chainFromBody(body, body.id ?? random.uuid()));
      return created(links.to("chains", chain.id));
    },
    getChain: async ({ params, links }) => json(chainToDto(await nsdb.chains.get(params.id), links)),
    deleteChain: async ({ params }) => {
      await nsdb.chains.delete(params.id as ChainId);
      return EMPTY;
    },

    listRules: async ({ params, links, viewer }) => {
      await nsdb.chains.get(params.id);
      const rules = await nsdb.rules.list(params.id as ChainId, onlooker(viewer));
      return json(await Promise.all(rules.map((rule) => ruleDto(rule, links, viewer))));
    },
    createRule: async ({ params, body, links, viewer }) => {
      const chain = await nsdb.chains.get(params.id);
      const { rule, position } = ruleFromBody(body, chain.id, body.id ?? random.uuid());
      const made = await nsdb.rules.create(chain.id, rule, position, onlooker(viewer));
      return created(links.to("rules", made.id));
    },
    getRule: async ({ params, links, viewer }) =>
      json(await ruleDto(await nsdb.rules.get(params.id as RuleId, onlooker(viewer)), links, viewer)),
    deleteRule: async ({ params, viewer }) => {
      await nsdb.rules.delete(params.id as RuleId, onlooker(viewer));
      return EMPTY;
    },

    listRoutes: async ({ params, links }) =>
      json((await nsdb.routes.list(params.id as RouterId)).map((r) => routeToDto(r, links))),
    createRoute: async ({ params, body, links }) => {
      const router = await nsdb.routers.get(params.id);
      const route = await nsdb.routes.create(router.id, routeFromBody(body, router.id, body.id ?? random.uuid()));
      return created(links.to("routes", route.id));
    },
    getRoute: async ({ params, links }) => json(routeToDto(await nsdb.routes.get(params.id), links)),
    deleteRoute: async ({ params }) => {
      await ignoringMissing(nsdb.routes.delete(params.id as RouteId));
      return EMPTY;
    },
  };
}

/** Administrators see the trace rules of everybody, tenants their own. */
const onlooker = (viewer: Identity): string | undefined => (viewer.admin ? undefined : viewer.tenantId);
