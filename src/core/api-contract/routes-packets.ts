import * as z from "zod";
import { read } from "./fields.ts";
import { PCAPNG_MEDIA } from "./media.ts";
import { ownRead, route } from "./route.ts";

/** `limit`: of the newest flows. */
const packetsQuery = z.object({ limit: read.int(1_000) });

/** Packet captures of traced flows; whoever sees a flow sees of its packets those at devices of their own. */
export const packetRoutes = {
  flowPackets: route({
    method: "GET",
    path: "/midonet-api/traces/{id}/flows/{flowTraceId}/packet.pcapng",
    tag: "flow trace",
    summary: "The packets of one flow for Wireshark, as each host saw them",
    roles: ownRead("trace"),
    answer: { kind: "binary", media: [PCAPNG_MEDIA] },
    errors: ["NOT_FOUND", "NOT_ACCEPTABLE"],
  }),
  tracePackets: route({
    method: "GET",
    path: "/midonet-api/traces/{id}/packets.pcapng",
    tag: "flow trace",
    summary: "The packets of the request's newest flows for Wireshark, oldest first",
    roles: ownRead("trace"),
    query: packetsQuery,
    answer: { kind: "binary", media: [PCAPNG_MEDIA] },
    errors: ["VALIDATION", "NOT_FOUND", "NOT_ACCEPTABLE"],
  }),
} as const;
