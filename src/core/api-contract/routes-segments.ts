import { MAX_SEGMENTS_BODY_BYTES, segmentsAnswer, segmentsBody } from "./dto-segments.ts";
import { JSON_MEDIA } from "./media.ts";
import { AGENTS_ONLY, route } from "./route.ts";

/** What agents use, and nobody else. */
export const segmentRoutes = {
  deliverSegments: route({
    method: "POST",
    path: "/midonet-api/trace-segments",
    tag: "collector",
    summary:
      "Deliver the trace segments of one host; at least once, repetitions are recognized. Works without the store",
    roles: AGENTS_ONLY,
    evenReadOnly: true,
    body: { media: [JSON_MEDIA], schema: segmentsBody, maxBytes: MAX_SEGMENTS_BODY_BYTES, plainNumbers: true },
    answer: { kind: "body", media: [JSON_MEDIA], schema: segmentsAnswer },
    errors: ["VALIDATION", "MALFORMED_JSON", "NOT_ACCEPTABLE", "TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"],
  }),
} as const;
