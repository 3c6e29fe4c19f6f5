import {
  flag,
  integer,
  mapOf,
  optional,
  OvsdbSession,
  rowId,
  type SessionOptions,
  setOf,
  text,
} from "#protocols/ovsdb";

/** Tables with a column of every kind. */
export const SAMPLE_TABLES = {
  Open_vSwitch: { bridges: setOf(rowId), cur_cfg: integer },
  Interface: {
    name: text,
    ofport: optional(integer),
    up: flag,
    external_ids: mapOf(text, text),
  },
} as const;

export const sampleId = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;

export function sampleSession(
  options: Partial<SessionOptions<typeof SAMPLE_TABLES>> = {},
): OvsdbSession<typeof SAMPLE_TABLES> {
  return new OvsdbSession({ database: "Open_vSwitch", tables: SAMPLE_TABLES, ...options });
}

export const bytes = (value: unknown): Uint8Array =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value));

/** What a server sends to a client that monitors the sample tables, asked by the ids 1 (monitor) and 2 (transact). */
export const SERVER_MESSAGES: readonly unknown[] = [
  {
    id: 1,
    error: null,
    result: {
      Open_vSwitch: { [sampleId(1)]: { new: { bridges: ["uuid", sampleId(9)], cur_cfg: 3 } } },
      Interface: {
        [sampleId(2)]: { new: { name: "tap-ä", ofport: 7, up: true, external_ids: ["map", [["a", '{"}\\']]] } },
        [sampleId(3)]: { new: { name: "none", ofport: ["set", []], up: false, external_ids: ["map", []] } },
      },
    },
  },
  { id: "echo", method: "echo", params: [1, { two: [] }] },
  {
    id: null,
    method: "update",
    params: [
      "midotrace",
      {
        Interface: {
          [sampleId(2)]: {
            old: { ofport: 7 },
            new: { name: "tap-ä", ofport: 8, up: true, external_ids: ["map", []] },
          },
          [sampleId(3)]: { old: { name: "none", ofport: ["set", []], up: false, external_ids: ["map", []] } },
        },
      },
    ],
  },
  { id: 2, error: null, result: [{ uuid: ["uuid", sampleId(4)] }, { count: 1 }] },
];
