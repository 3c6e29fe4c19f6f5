import {
  OFPP,
  type Output,
  writeEmptyMatch,
  writeOutput,
  writeOutputReg1,
  writeProgramAdd,
  writeReg0Match,
} from "#protocols/openflow";
import { PROGRAM_ROUND, wireCookie } from "./cookies.ts";

/**
 * The switch's program, which stands in it from the first start of an agent on and is only ever overwritten in place:
 *
 *   table 0  entries of the agent, all of one run with one priority; what none covers goes to the agent
 *   table 1  packets too long for the tunnel go to the agent, others on                   (only by resubmission)
 *   table 2  packets not too long go out of the port in register 1, others nowhere        (only by resubmission)
 *
 * Tables 1 and 2 serve entries with tunnel outputs only (`LengthGuard`). Measuring in the entry itself, not in a stage
 * before all entries, keeps the entries' counters exact: Open vSwitch follows both branches of a measurement when it
 * counts, so whatever is matched behind one counts twice.
 */
export const TABLE = { ENTRIES: 0, TOO_LONG: 1, OUTPUT: 2 } as const;

/** Of the first run; each later one takes a higher one, so that its entries win over those that it still finds. */
export const FIRST_PRIORITY = 1000;
export const LAST_PRIORITY = 60_000;

export const MISS_COOKIE = wireCookie(PROGRAM_ROUND, 1);
const TOO_LONG_COOKIE = wireCookie(PROGRAM_ROUND, 2);
const OUTPUT_COOKIE = wireCookie(PROGRAM_ROUND, 3);

export function writeProgram(out: Output, nextXid: () => number): void {
  const toAgent = (o: Output): void => writeOutput(o, OFPP.CONTROLLER);
  writeProgramAdd(out, nextXid(), {
    table: TABLE.TOO_LONG,
    priority: 1,
    cookie: TOO_LONG_COOKIE,
    match: (o) => writeReg0Match(o, 1),
    actions: toAgent,
  });
  writeProgramAdd(out, nextXid(), {
    table: TABLE.OUTPUT,
    priority: 1,
    cookie: OUTPUT_COOKIE,
    match: (o) => writeReg0Match(o, 0),
    actions: writeOutputReg1,
  });
  writeProgramAdd(out, nextXid(), {
    table: TABLE.ENTRIES,
    priority: 0,
    cookie: MISS_COOKIE,
    match: writeEmptyMatch,
    actions: toAgent,
  });
}
