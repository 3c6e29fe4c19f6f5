import {
  applicationDto,
  docsPage,
  hostVersionDto,
  openApiDocument,
  type SystemOperation,
  systemStateDto,
  systemStateFromBody,
  tenantDto,
  writeVersionDto,
  writeVersionFromBody,
} from "#core/api-contract";
import { MidotraceError } from "#core/base";
import { parseTopologyDocument } from "#core/topology";
import { type Deps, EMPTY, type Handlers, json } from "../call.ts";
import { HOME_PAGE } from "../home.ts";
import { topologyJson } from "../topology-json.ts";

/** The root document, health, and whatever is about the server itself. */
export function systemHandlers(deps: Deps): Handlers<SystemOperation> {
  const { nsdb, identity } = deps;
  const tenants = async (): Promise<string[]> => {
    const lists = await Promise.all([
      nsdb.bridges.list(),
      nsdb.routers.list(),
      nsdb.chains.list(),
      nsdb.portGroups.list(),
    ]);
    return [...new Set(lists.flatMap((list) => list.map((o): string => o.tenantId)))].filter((t) => t !== "").sort();
  };
  return {
    getApplication: ({ links }) => json(applicationDto(links)),
    getSystemState: async ({ links }) => json(systemStateDto(await nsdb.systemState.get(), links)),
    updateSystemState: async ({ body }) => {
      await nsdb.systemState.update(systemStateFromBody(body));
      return EMPTY;
    },
    getWriteVersion: async ({ links }) => json(writeVersionDto((await nsdb.systemState.get()).writeVersion, links)),
    updateWriteVersion: async ({ body }) => {
      await nsdb.systemState.update({ writeVersion: writeVersionFromBody(body) });
      return EMPTY;
    },
    listHostVersions: async ({ links }) => {
      const hosts = await nsdb.hosts.list();
      const alive = await Promise.all(hosts.map((h) => nsdb.state.isAlive(h.id)));
      return json(hosts.filter((_, i) => alive[i]).map((h) => hostVersionDto(h.id, links)));
    },
    listTenants: async ({ links }) =>
      json(((await identity.tenants()) ?? (await tenants())).map((tenant) => tenantDto(tenant, links))),
    getTenant: async ({ params, links, viewer }) => {
      const { id } = params;
      if (!viewer.admin) return json(tenantDto({ id, name: viewer.tenantName, description: "", enabled: true }, links));
      const known = await identity.tenants();
      // Without an identity service nobody knows which tenants exist: as MidoNet's mock provider, any does.
      const tenant = known === null ? id : known.find((t) => t.id === id);
      if (tenant === undefined) throw new MidotraceError("NOT_FOUND", `no tenant ${id}`);
      return json(tenantDto(tenant, links));
    },
    getTopology: async () => json(topologyJson(await nsdb.readTopology())),
    applyTopology: async ({ body }) => json(await nsdb.apply(parseTopologyDocument(body))),
    getOpenApi: ({ links }) =>
      json(openApiDocument({ version: deps.version, server: links.base.replace(/\/midonet-api$/, "") })),
    getHome: () => ({ kind: "text", text: HOME_PAGE }),
    getDocs: () => ({ kind: "text", text: docsPage(deps.version) }),
    getHealth: () => json({ status: "ok" }),
    getReadiness: () => {
      const waitingFor = deps.waitingFor();
      return json({ ready: waitingFor.length === 0, waitingFor }, waitingFor.length === 0 ? 200 : 503);
    },
    getMetrics: async () => ({ kind: "text", text: await deps.metrics() }),
  };
}
