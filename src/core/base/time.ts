/** Time, chance and identity are handed in; nothing in the core reads them from the platform. */

export interface Clock {
  /** Milliseconds since the epoch (wall clock, may jump): only for what people read. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start, never going back: for every lifetime and deadline. */
  monotonicMs(): number;
}

export interface Cancel {
  cancel(): void;
}

export interface Scheduler {
  /** Calls `task` once, not before `delayMs` from now, never inside this call. */
  after(delayMs: number, task: () => void): Cancel;
}

export interface Random {
  /** A uniform double in [0, 1). */
  next(): number;
  /** A random (version 4) UUID in lower case. */
  uuid(): string;
}

/** A component with a life: constructors do nothing, `start` acquires, `stop` releases and is idempotent. */
export interface Lifecycle {
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** xoshiro128** seeded by splitmix32: a repeatable Random for tests, seeded underlays and benches. Not for secrets. */
export class SeededRandom implements Random {
  private readonly s = new Uint32Array(4);

  constructor(seed: number) {
    let x = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      this.s[i] = z ^ (z >>> 16);
    }
  }

  u32(): number {
    const s = this.s;
    const s1 = s[1] as number;
    const r = Math.imul(rotl(Math.imul(s1, 5), 7), 9) >>> 0;
    const t = s1 << 9;
    s[2] = (s[2] as number) ^ (s[0] as number);
    s[3] = (s[3] as number) ^ s1;
    s[1] = s1 ^ s[2];
    s[0] = (s[0] as number) ^ s[3];
    s[2] = s[2] ^ t;
    s[3] = rotl(s[3], 11);
    return r;
  }

  next(): number {
    return this.u32() / 0x1_0000_0000;
  }

  uuid(): string {
    const h = [this.u32(), this.u32(), this.u32(), this.u32()].map((v) => v.toString(16).padStart(8, "0")).join("");
    const variant = ((Number.parseInt(h[16] as string, 16) & 3) | 8).toString(16);
    return `${h.slice(0, 8)}-${h.slice(8, 12)}-4${h.slice(13, 16)}-${variant}${h.slice(17, 20)}-${h.slice(20, 32)}`;
  }
}

function rotl(v: number, n: number): number {
  return ((v << n) | (v >>> (32 - n))) >>> 0;
}
