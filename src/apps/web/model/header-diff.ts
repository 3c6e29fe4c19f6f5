import type { HeaderText } from "#core/tracing";

/** Header fields in the order of the frame, as operators call them. */
const FIELDS: readonly (readonly [keyof HeaderText, string])[] = [
  ["ethSrc", "Source MAC"],
  ["ethDst", "Destination MAC"],
  ["vlan", "VLAN"],
  ["nwSrc", "Source IP"],
  ["nwDst", "Destination IP"],
  ["nwTos", "TOS"],
  ["nwTtl", "TTL"],
  ["tpSrc", "Source port"],
  ["tpDst", "Destination port"],
  ["icmpType", "ICMP type"],
  ["icmpCode", "ICMP code"],
  ["icmpId", "ICMP id"],
];

export interface HeaderChange {
  readonly field: keyof HeaderText;
  readonly label: string;
  /** Null: the packet did not have the field. */
  readonly before: string | null;
  readonly after: string | null;
}

/** What differs between two headers, in the order of the frame. */
export function headerDiff(before: HeaderText, after: HeaderText): HeaderChange[] {
  return FIELDS.flatMap(([field, label]) =>
    before[field] === after[field] ? [] : [{ field, label, before: text(before[field]), after: text(after[field]) }],
  );
}

const SHORT: Partial<Record<keyof HeaderText, string>> = {
  ethSrc: "MACs",
  ethDst: "MACs",
  nwSrc: "source IP",
  nwDst: "destination IP",
  tpSrc: "source port",
  tpDst: "destination port",
};

/** "MACs, TTL": what changed, as short as it can be said. */
export function changesInShort(changes: readonly HeaderChange[]): string {
  return [...new Set(changes.map((c) => SHORT[c.field] ?? c.label))].join(", ");
}

const text = (value: string | number | undefined): string | null => (value === undefined ? null : String(value));
