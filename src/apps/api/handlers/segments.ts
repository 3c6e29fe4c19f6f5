import type { SegmentOperation } from "#core/api-contract";
import { type Deps, type Handlers, json } from "../call.ts";

/** What agents deliver. Does not touch the store of the virtual network, so it works while that is away. */
export function segmentHandlers({ collector }: Deps): Handlers<SegmentOperation> {
  return { deliverSegments: async ({ body }) => json(await collector.take(body)) };
}
