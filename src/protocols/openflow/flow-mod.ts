import { writeU16, writeU32 } from "#core/base";
import type { FlowAction, FlowMask, FlowMatch } from "#core/flows";
import { type LengthGuard, writeActions } from "./actions.ts";
import { matchFields, putValue, writeEmptyMatch, writeMatch } from "./match.ts";
import { NO_BUFFER, OFPFC, OFPFF, OFPG_ANY, OFPP, OFPT, OFPTT_ALL } from "./messages.ts";
import { Output } from "./output.ts";

const OFPIT_APPLY_ACTIONS = 4;
const FIXED_BYTES = 40;
const FIXED_AT = 8;
const FIRST_INSTRUCTION_BYTES = 256;
const FIRST_TEMPLATE_BYTES = 512;

/** A 64-bit cookie in halves, each a u32: no number that the hot path touches is a bigint. */
export interface Cookie {
  readonly high: number;
  readonly low: number;
}

export interface FlowAdd {
  readonly table: number;
  readonly priority: number;
  readonly match: FlowMatch;
  /** As `maskForActions` gives it. */
  readonly mask: FlowMask;
  /** Seconds, 0 = never, at most 65535. */
  readonly idleTimeoutS: number;
  readonly hardTimeoutS: number;
  /** As `encodeInstructions` gives them. */
  readonly instructions: Uint8Array;
}

/**
 * What an entry does with packets of the match `m`, ready for many entries. Of the match only the ethertype counts, whether
 * there is a tag, whether it is a later fragment, and, where ports are rewritten, the protocol.
 *
 * @param guard non-null: outputs are kept from packets that are too long.
 */
export function encodeInstructions(
  m: FlowMatch,
  actions: readonly FlowAction[],
  guard: LengthGuard | null,
): Uint8Array {
  const out = new Output(FIRST_INSTRUCTION_BYTES);
  const apply = beginApply(out);
  writeActions(out, m, actions, guard);
  endApply(out, apply);
  return out.take();
}

/**
 * FLOW_MOD ADDs, whose removal is to be reported, that differ in cookie and compared values only: written once, and filled in
 * for each. An entry with the same match and priority is overwritten in place.
 */
export class FlowTemplate {
  /** True: its instructions make it longer than a message can be, and nothing can be written. */
  readonly tooLong: boolean;
  private readonly bytes: Uint8Array;
  /** Per value: which, where, and its mask. */
  private readonly values: Uint8Array;
  private readonly places: Uint16Array;
  private readonly masks: Int32Array;

  /** @param flow with a match of the shape (`shapeOf`) that `write` will be given. */
  constructor(flow: FlowAdd) {
    const out = new Output(FIRST_TEMPLATE_BYTES);
    const fields = matchFields(flow.match, flow.mask);
    out.begin(OFPT.FLOW_MOD, 0);
    writeFixed(out, 0, 0, false, OFPFC.ADD, flow.table, flow.priority);
    writeU16(out.bytes, FIXED_AT + 18, flow.idleTimeoutS);
    writeU16(out.bytes, FIXED_AT + 20, flow.hardTimeoutS);
    writeU16(out.bytes, FIXED_AT + 36, OFPFF.SEND_FLOW_REM);
    const places = writeMatch(out, flow.match, fields);
    out.append(flow.instructions);
    this.tooLong = !out.end();
    this.bytes = out.take();
    this.values = Uint8Array.from(fields, (field) => field.value);
    this.places = Uint16Array.from(places);
    this.masks = Int32Array.from(fields, (field) => field.mask);
  }

  write(out: Output, xid: number, cookieHigh: number, cookieLow: number, m: FlowMatch): void {
    const start = out.at;
    out.append(this.bytes);
    const b = out.bytes;
    writeU32(b, start + 4, xid);
    writeU32(b, start + FIXED_AT, cookieHigh);
    writeU32(b, start + FIXED_AT + 4, cookieLow);
    const { values, places, masks } = this;
    for (let i = 0; i < values.length; i++)
      putValue(b, start + (places[i] as number), values[i] as number, masks[i] as number, m);
  }
}

/** An entry of the switch's program: `match` and `actions` write themselves. Removal is reported; its counters begin at 0. */
export function writeProgramAdd(
  out: Output,
  xid: number,
  flow: {
    table: number;
    priority: number;
    cookie: Cookie;
    match: (out: Output) => void;
    actions: (out: Output) => void;
  },
): void {
  out.begin(OFPT.FLOW_MOD, xid);
  writeFixed(out, flow.cookie.high, flow.cookie.low, false, OFPFC.ADD, flow.table, flow.priority);
  writeU16(out.bytes, out.at - FIXED_BYTES + 36, OFPFF.SEND_FLOW_REM | OFPFF.RESET_COUNTS);
  flow.match(out);
  const apply = beginApply(out);
  flow.actions(out);
  endApply(out, apply);
  out.end();
}

/** Deletes every entry with exactly this cookie, in all tables: one look into the switch's index of cookies. */
export function writeDeleteByCookie(out: Output, xid: number, cookieHigh: number, cookieLow: number): void {
  out.begin(OFPT.FLOW_MOD, xid);
  writeFixed(out, cookieHigh, cookieLow, true, OFPFC.DELETE, OFPTT_ALL, 0);
  writeEmptyMatch(out);
  out.end();
}

/**
 * Deletes every entry whose cookie equals `cookie` in the bits of `mask`: a walk over all entries of the switch, unless
 * all bits are compared.
 */
export function writeDeleteByCookieMask(out: Output, xid: number, cookie: Cookie, mask: Cookie): void {
  out.begin(OFPT.FLOW_MOD, xid);
  writeFixed(out, cookie.high, cookie.low, true, OFPFC.DELETE, OFPTT_ALL, 0);
  const fixed = out.at - FIXED_BYTES;
  writeU32(out.bytes, fixed + 8, mask.high);
  writeU32(out.bytes, fixed + 12, mask.low);
  writeEmptyMatch(out);
  out.end();
}

/*
 *  0 cookie (8)   8 cookie mask (8)   16 table   17 command   18 idle   20 hard   22 priority   24 buffer (4)
 *  28 out port (4)   32 out group (4)   36 flags   38 pad
 */
function writeFixed(
  out: Output,
  cookieHigh: number,
  cookieLow: number,
  exact: boolean,
  command: number,
  table: number,
  priority: number,
): void {
  out.room(FIXED_BYTES);
  const b = out.bytes;
  const at = out.at;
  const maskHalf = exact ? 0xffff_ffff : 0;
  writeU32(b, at, cookieHigh);
  writeU32(b, at + 4, cookieLow);
  writeU32(b, at + 8, maskHalf);
  writeU32(b, at + 12, maskHalf);
  b[at + 16] = table;
  b[at + 17] = command;
  writeU32(b, at + 18, 0);
  writeU16(b, at + 22, priority);
  writeU32(b, at + 24, NO_BUFFER);
  writeU32(b, at + 28, OFPP.ANY);
  writeU32(b, at + 32, OFPG_ANY);
  writeU32(b, at + 36, 0);
  out.at = at + FIXED_BYTES;
}

function beginApply(out: Output): number {
  out.room(8);
  const start = out.at;
  out.at = start + 8;
  return start;
}

/** An empty list has no instruction at all: the packet is dropped. */
function endApply(out: Output, start: number): void {
  if (out.at === start + 8) {
    out.at = start;
    return;
  }
  const b = out.bytes;
  writeU16(b, start, OFPIT_APPLY_ACTIONS);
  writeU16(b, start + 2, out.at - start);
  writeU32(b, start + 4, 0);
}
