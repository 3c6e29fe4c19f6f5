import { agentDto, type AgentOperation } from "#core/api-contract";
import { type Deps, type Handlers, json } from "../call.ts";

/** What the hosts' agents say of themselves; of one that says nothing here, what the store has. */
export function agentHandlers({ nsdb, collector: { reports } }: Deps): Handlers<AgentOperation> {
  return {
    listAgents: async () => {
      const hosts = await nsdb.hosts.list();
      const alive = await Promise.all(hosts.map(({ id }) => nsdb.state.isAlive(id)));
      return json(
        hosts.map(({ id, name }, i) =>
          agentDto({ hostId: id, hostName: name, alive: alive[i] === true }, reports.of(id), reports.clockOffsetMs(id)),
        ),
      );
    },
  };
}
