/** The Open vSwitch Database Management Protocol (RFC 7047), as a client: wire format and session, no I/O. */
export {
  type Atom,
  type Column,
  type Columns,
  decodeRow,
  flag,
  integer,
  isRowId,
  mapOf,
  optional,
  type RowId,
  rowId,
  type RowOf,
  setOf,
  text,
  wire,
  type WireValue,
} from "./columns.ts";
export { JsonTexts, MAX_TEXT_BYTES } from "./framing.ts";
export { decodeRpc, describeError, encodeReply, encodeRequest, type RpcMessage } from "./json-rpc.ts";
export { Malformed } from "./malformed.ts";
export {
  byId,
  decodeTransaction,
  describeErrors,
  type Operation,
  type TransactionError,
  type TransactionResult,
  type WireCondition,
  type WireMutation,
  type WireRow,
} from "./operations.ts";
export { Replica, type TableRows, type Tables } from "./replica.ts";
export { OvsdbSession, type SessionEffect, type SessionOptions } from "./session.ts";
