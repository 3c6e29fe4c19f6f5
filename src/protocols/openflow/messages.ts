/**
 * OpenFlow 1.3 (wire version 4, ONF TS-012), the part of it that an agent speaks with its own switch, with the extensions
 * of Nicira that Open vSwitch has. What is not in these tables is an error that names the message.
 *
 *    0        8        16                 31
 *   +--------+--------+-------------------+
 *   |version | type   | length, whole     |
 *   +--------+--------+-------------------+
 *   | xid: the reply has the request's    |
 *   +-------------------------------------+
 */
export const OFP_VERSION = 4;
export const HEADER_BYTES = 8;
/** What the length field can say. */
export const MAX_MESSAGE_BYTES = 0xffff;

export const OFPT = {
  HELLO: 0,
  ERROR: 1,
  ECHO_REQUEST: 2,
  ECHO_REPLY: 3,
  EXPERIMENTER: 4,
  FEATURES_REQUEST: 5,
  FEATURES_REPLY: 6,
  SET_CONFIG: 9,
  PACKET_IN: 10,
  FLOW_REMOVED: 11,
  PORT_STATUS: 12,
  PACKET_OUT: 13,
  FLOW_MOD: 14,
  MULTIPART_REQUEST: 18,
  MULTIPART_REPLY: 19,
  BARRIER_REQUEST: 20,
  BARRIER_REPLY: 21,
} as const;

interface MessageRow {
  readonly name: string;
  /** Least length of the whole message, bytes. */
  readonly leastBytes: number;
  /** Who may send it here; "neither": a message of the standard that has no place on this connection. */
  readonly from: "switch" | "agent" | "both" | "neither";
}

/** By type, all that version 1.3 knows (TS-012 A.1). */
const MESSAGES: readonly MessageRow[] = [
  { name: "HELLO", leastBytes: 8, from: "both" },
  { name: "ERROR", leastBytes: 12, from: "switch" },
  { name: "ECHO_REQUEST", leastBytes: 8, from: "both" },
  { name: "ECHO_REPLY", leastBytes: 8, from: "both" },
  { name: "EXPERIMENTER", leastBytes: 16, from: "neither" },
  { name: "FEATURES_REQUEST", leastBytes: 8, from: "agent" },
  { name: "FEATURES_REPLY", leastBytes: 32, from: "switch" },
  { name: "GET_CONFIG_REQUEST", leastBytes: 8, from: "neither" },
  { name: "GET_CONFIG_REPLY", leastBytes: 12, from: "neither" },
  { name: "SET_CONFIG", leastBytes: 12, from: "agent" },
  { name: "PACKET_IN", leastBytes: 34, from: "switch" },
  { name: "FLOW_REMOVED", leastBytes: 56, from: "switch" },
  { name: "PORT_STATUS", leastBytes: 80, from: "switch" },
  { name: "PACKET_OUT", leastBytes: 24, from: "agent" },
  { name: "FLOW_MOD", leastBytes: 56, from: "agent" },
  { name: "GROUP_MOD", leastBytes: 16, from: "neither" },
  { name: "PORT_MOD", leastBytes: 40, from: "neither" },
  { name: "TABLE_MOD", leastBytes: 16, from: "neither" },
  { name: "MULTIPART_REQUEST", leastBytes: 16, from: "agent" },
  { name: "MULTIPART_REPLY", leastBytes: 16, from: "switch" },
  { name: "BARRIER_REQUEST", leastBytes: 8, from: "agent" },
  { name: "BARRIER_REPLY", leastBytes: 8, from: "switch" },
  { name: "QUEUE_GET_CONFIG_REQUEST", leastBytes: 16, from: "neither" },
  { name: "QUEUE_GET_CONFIG_REPLY", leastBytes: 16, from: "neither" },
  { name: "ROLE_REQUEST", leastBytes: 24, from: "neither" },
  { name: "ROLE_REPLY", leastBytes: 24, from: "neither" },
  { name: "GET_ASYNC_REQUEST", leastBytes: 8, from: "neither" },
  { name: "GET_ASYNC_REPLY", leastBytes: 32, from: "neither" },
  { name: "SET_ASYNC", leastBytes: 32, from: "neither" },
  { name: "METER_MOD", leastBytes: 16, from: "neither" },
];

/** "PACKET_IN", or "message type 77" for a number that the standard does not give. */
export function messageName(type: number): string {
  return MESSAGES[type]?.name ?? `message type ${type}`;
}

/** Why a message of a switch can be none; null: go on. Only the header was looked at. */
export function headerFault(version: number, type: number, lengthBytes: number): string | null {
  // A hello says what the switch would like to speak, in a version of its own choice.
  if (version !== OFP_VERSION && type !== OFPT.HELLO) return `${messageName(type)} in OpenFlow wire version ${version}`;
  const row = MESSAGES[type];
  if (row === undefined) return `unknown ${messageName(type)}`;
  if (row.from === "agent" || row.from === "neither") return `a switch does not send ${row.name} here`;
  if (lengthBytes < row.leastBytes) return `${row.name} of ${lengthBytes} bytes, ${row.leastBytes} are the least`;
  return null;
}

/** Types of multipart messages (TS-012 A.3.5) that are asked for here. */
export const OFPMP = { FLOW: 1, AGGREGATE: 2, PORT_DESC: 13 } as const;
export type MultipartType = (typeof OFPMP)[keyof typeof OFPMP];

const MULTIPART_NAMES = new Map<number, string>([
  [0, "DESC"],
  [OFPMP.FLOW, "FLOW"],
  [OFPMP.AGGREGATE, "AGGREGATE"],
  [3, "TABLE"],
  [4, "PORT_STATS"],
  [5, "QUEUE"],
  [6, "GROUP"],
  [7, "GROUP_DESC"],
  [8, "GROUP_FEATURES"],
  [9, "METER"],
  [10, "METER_CONFIG"],
  [11, "METER_FEATURES"],
  [12, "TABLE_FEATURES"],
  [OFPMP.PORT_DESC, "PORT_DESC"],
  [0xffff, "EXPERIMENTER"],
]);

export function multipartName(type: number): string {
  return `MULTIPART_REPLY ${MULTIPART_NAMES.get(type) ?? `of type ${type}`}`;
}

/** Reserved port numbers (TS-012 A.2.1). */
export const OFPP = { IN_PORT: 0xffff_fff8, CONTROLLER: 0xffff_fffd, LOCAL: 0xffff_fffe, ANY: 0xffff_ffff } as const;
export const OFPG_ANY = 0xffff_ffff;
export const OFPTT_ALL = 0xff;
export const NO_BUFFER = 0xffff_ffff;
export const OFPFC = { ADD: 0, DELETE: 3, DELETE_STRICT: 4 } as const;
export const OFPFF = { SEND_FLOW_REM: 1, RESET_COUNTS: 4 } as const;
/** Why a flow was removed; EVICTION is of 1.4, and Open vSwitch says it in 1.3 too. */
export const OFPRR = {
  IDLE_TIMEOUT: 0,
  HARD_TIMEOUT: 1,
  DELETE: 2,
  GROUP_DELETE: 3,
  METER_DELETE: 4,
  EVICTION: 5,
} as const;
export const OFPMPF_REPLY_MORE = 1;
export const NX_VENDOR = 0x0000_2320;
