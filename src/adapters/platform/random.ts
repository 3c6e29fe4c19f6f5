import { randomUUID } from "node:crypto";
import type { Random } from "#core/base";

export const systemRandom: Random = {
  next: () => Math.random(),
  uuid: () => randomUUID(),
};
