export {
  type LengthGuard,
  maskForActions,
  reachesHiddenTags,
  writeActions,
  writeOutput,
  writeOutputReg1,
  writeSetTunnel,
} from "./actions.ts";
export { errorName } from "./errors.ts";
export {
  type Cookie,
  encodeInstructions,
  type FlowAdd,
  FlowTemplate,
  writeDeleteByCookie,
  writeDeleteByCookieMask,
  writeProgramAdd,
} from "./flow-mod.ts";
export { shapeOf, writeEmptyMatch, writeReg0Match } from "./match.ts";
export { MAX_MESSAGE_BYTES, messageName, OFP_VERSION, OFPP, OFPRR, OFPT, OFPTT_ALL } from "./messages.ts";
export { Output } from "./output.ts";
export {
  type Aggregate,
  ErrorMessage,
  type Features,
  FlowRecord,
  PacketInMessage,
  type PortDescription,
} from "./replies.ts";
export {
  ALL_FLOWS,
  beginPacketOut,
  endPacketOut,
  endPacketOutOf,
  EXACT_COOKIE,
  PACKET_OUT_MARK_BYTES,
  type StatsFilter,
  writeBare,
  writeEchoReply,
  writeHello,
  writeSetConfig,
  writeStatsRequest,
} from "./requests.ts";
export { Session, SESSION_LIMITS, type SessionHandler, type SessionOptions } from "./session.ts";
export { Splitter } from "./splitter.ts";
