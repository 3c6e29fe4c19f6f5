import type { Deps, Handlers } from "../call.ts";
import { agentHandlers } from "./agents.ts";
import { deviceHandlers } from "./devices.ts";
import { filterHandlers } from "./filters.ts";
import { groupHandlers } from "./groups.ts";
import { hostHandlers } from "./hosts.ts";
import { packetHandlers } from "./packets.ts";
import { segmentHandlers } from "./segments.ts";
import { sessionHandlers } from "./session.ts";
import { systemHandlers } from "./system.ts";
import { tableHandlers } from "./tables.ts";
import { traceDeviceHandlers } from "./trace-devices.ts";
import { traceHandlers } from "./traces.ts";

/** One handler per route of the contract; the compiler refuses a missing one and an extra one. */
export function allHandlers(deps: Deps): Handlers {
  return {
    ...sessionHandlers(deps),
    ...systemHandlers(deps),
    ...traceHandlers(deps),
    ...traceDeviceHandlers(deps),
    ...packetHandlers(deps),
    ...deviceHandlers(deps),
    ...tableHandlers(deps),
    ...filterHandlers(deps),
    ...hostHandlers(deps),
    ...groupHandlers(deps),
    ...segmentHandlers(deps),
    ...agentHandlers(deps),
  };
}
