import * as z from "zod";
import { agentAnswer } from "./dto-agents.ts";
import { JSON_MEDIA } from "./media.ts";
import { ADMIN_ONLY, route } from "./route.ts";

/** The agents of the hosts, as this server hears of them. */
export const agentRoutes = {
  listAgents: route({
    method: "GET",
    path: "/midonet-api/agents",
    tag: "agents",
    summary:
      "Each host's agent: whether it is there, its clock, event budget, spool and losses, as it told this server",
    roles: ADMIN_ONLY,
    answer: { kind: "body", media: [JSON_MEDIA], schema: z.array(agentAnswer) },
    errors: ["NOT_ACCEPTABLE"],
  }),
} as const;
