/** Error types and codes (TS-012 A.4.4) by name; Open vSwitch adds codes of Nicira's in experimenter errors. */
interface ErrorRow {
  readonly name: string;
  readonly codes: readonly string[];
}

/** Type of an error whose meaning an experimenter (a vendor) gives. */
export const OFPET_EXPERIMENTER = 0xffff;

const TYPES: readonly ErrorRow[] = [
  { name: "HELLO_FAILED", codes: ["INCOMPATIBLE", "EPERM"] },
  {
    name: "BAD_REQUEST",
    codes: [
      "BAD_VERSION",
      "BAD_TYPE",
      "BAD_MULTIPART",
      "BAD_EXPERIMENTER",
      "BAD_EXP_TYPE",
      "EPERM",
      "BAD_LEN",
      "BUFFER_EMPTY",
      "BUFFER_UNKNOWN",
      "BAD_TABLE_ID",
      "IS_SLAVE",
      "BAD_PORT",
      "BAD_PACKET",
      "MULTIPART_BUFFER_OVERFLOW",
    ],
  },
  {
    name: "BAD_ACTION",
    codes: [
      "BAD_TYPE",
      "BAD_LEN",
      "BAD_EXPERIMENTER",
      "BAD_EXP_TYPE",
      "BAD_OUT_PORT",
      "BAD_ARGUMENT",
      "EPERM",
      "TOO_MANY",
      "BAD_QUEUE",
      "BAD_OUT_GROUP",
      "MATCH_INCONSISTENT",
      "UNSUPPORTED_ORDER",
      "BAD_TAG",
      "BAD_SET_TYPE",
      "BAD_SET_LEN",
      "BAD_SET_ARGUMENT",
    ],
  },
  {
    name: "BAD_INSTRUCTION",
    codes: [
      "UNKNOWN_INST",
      "UNSUP_INST",
      "BAD_TABLE_ID",
      "UNSUP_METADATA",
      "UNSUP_METADATA_MASK",
      "BAD_EXPERIMENTER",
      "BAD_EXP_TYPE",
      "BAD_LEN",
      "EPERM",
    ],
  },
  {
    name: "BAD_MATCH",
    codes: [
      "BAD_TYPE",
      "BAD_LEN",
      "BAD_TAG",
      "BAD_DL_ADDR_MASK",
      "BAD_NW_ADDR_MASK",
      "BAD_WILDCARDS",
      "BAD_FIELD",
      "BAD_VALUE",
      "BAD_MASK",
      "BAD_PREREQ",
      "DUP_FIELD",
      "EPERM",
    ],
  },
  {
    name: "FLOW_MOD_FAILED",
    codes: ["UNKNOWN", "TABLE_FULL", "BAD_TABLE_ID", "OVERLAP", "EPERM", "BAD_TIMEOUT", "BAD_COMMAND", "BAD_FLAGS"],
  },
  { name: "GROUP_MOD_FAILED", codes: [] },
  { name: "PORT_MOD_FAILED", codes: [] },
  { name: "TABLE_MOD_FAILED", codes: [] },
  { name: "QUEUE_OP_FAILED", codes: [] },
  { name: "SWITCH_CONFIG_FAILED", codes: ["BAD_FLAGS", "BAD_LEN", "EPERM"] },
  { name: "ROLE_REQUEST_FAILED", codes: [] },
  { name: "METER_MOD_FAILED", codes: [] },
  { name: "TABLE_FEATURES_FAILED", codes: [] },
];

/** "BAD_MATCH/BAD_PREREQ"; unknown numbers stand for themselves. `experimenter` counts for type 0xffff only. */
export function errorName(type: number, code: number, experimenter = 0): string {
  if (type === OFPET_EXPERIMENTER) return `EXPERIMENTER 0x${experimenter.toString(16)}/${code}`;
  const row = TYPES[type];
  if (row === undefined) return `error type ${type}/${code}`;
  return `${row.name}/${row.codes[code] ?? code}`;
}
