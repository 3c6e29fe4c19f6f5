/** The user's command line against any API server: `trace`, `topology`, `simulate`, `login`. It knows the REST API and nothing behind it. */
import type { Command } from "#apps/cli/options";
import { complete } from "./complete.ts";
import { login } from "./login.ts";
import { simulate } from "./simulate.ts";
import { topologyCommands } from "./topology.ts";
import { traceCommands } from "./trace.ts";

export { ApiClient } from "./api-client.ts";
export { follow, type FollowOptions } from "./follow.ts";
export { momentMs } from "./moment.ts";
export { resolveDevice, type Resolved } from "./refs.ts";
export { readEvents, type SseEvent } from "./sse.ts";

export const clientCommands: readonly Command[] = [...traceCommands, ...topologyCommands, simulate, login, complete];
