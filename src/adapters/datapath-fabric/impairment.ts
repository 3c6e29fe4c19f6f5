import { SeededRandom, Violations } from "#core/base";

/** How an underlay link mistreats datagrams. Rates are 0..1 and are drawn for each datagram on its own. */
export interface Impairment {
  /** Each direction of each link draws its own numbers, from this and the names of its hosts. */
  readonly seed: number;
  readonly lossRate?: number;
  readonly duplicateRate?: number;
  /** A reordered datagram is held back by REORDER_HOLD_MS more, so that those behind it overtake it. */
  readonly reorderRate?: number;
  /** Uniform delay; datagrams that are not reordered stay in order all the same. Default 0. */
  readonly minDelayMs?: number;
  /** Default: `minDelayMs`. */
  readonly maxDelayMs?: number;
}

export const REORDER_HOLD_MS = 5;

/** What happens to one datagram: the delay of each copy, and whether they are delivered out of order. */
export interface Fate {
  /** Empty: lost. */
  readonly delaysMs: readonly number[];
  readonly reordered: boolean;
}

/** @throws MidotraceError VALIDATION naming each wrong field. */
export function checkImpairment(i: Impairment): void {
  const wrong = new Violations();
  for (const field of ["lossRate", "duplicateRate", "reorderRate"] as const) {
    const rate = i[field] ?? 0;
    if (!(rate >= 0 && rate <= 1)) wrong.add(field, "must be between 0 and 1");
  }
  const min = i.minDelayMs ?? 0;
  if (!(min >= 0)) wrong.add("minDelayMs", "must not be negative");
  if (!((i.maxDelayMs ?? min) >= min)) wrong.add("maxDelayMs", "must not be less than minDelayMs");
  wrong.throwIfAny("the impairment");
}

/** One direction of one impaired link. The same seed, names and number of datagrams give the same fates. */
export class LinkModel {
  private readonly impairment: Impairment;
  private readonly random: SeededRandom;

  /** `direction` names the link and its direction. */
  constructor(impairment: Impairment, direction: string) {
    this.impairment = impairment;
    this.random = new SeededRandom(impairment.seed ^ textHash(direction));
  }

  /** Draws the same count of numbers for every datagram, so that one rate does not change what another one decides. */
  next(): Fate {
    const {
      lossRate = 0,
      duplicateRate = 0,
      reorderRate = 0,
      minDelayMs = 0,
      maxDelayMs = minDelayMs,
    } = this.impairment;
    const draw = (): number => this.random.next();
    const lost = draw() < lossRate;
    const twice = draw() < duplicateRate;
    const reordered = draw() < reorderRate;
    const hold = reordered ? REORDER_HOLD_MS : 0;
    const delays = [draw(), draw()].map((r) => minDelayMs + r * (maxDelayMs - minDelayMs) + hold);
    if (lost) return { delaysMs: [], reordered: false };
    return { delaysMs: twice ? delays : delays.slice(0, 1), reordered };
  }
}

/** FNV-1a. */
function textHash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h;
}
