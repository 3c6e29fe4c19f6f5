import { SeededRandom } from "#core/base";

/** Chance that is the same again for the same seed. */
export class Dice {
  private readonly random: SeededRandom;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  below(n: number): number {
    return n <= 0 ? 0 : this.random.u32() % n;
  }

  /** True one time in `n`. */
  one(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  uuid(): string {
    return this.random.uuid();
  }

  bytes(max: number): Buffer {
    return Buffer.from(Array.from({ length: this.below(max) }, () => this.below(256)));
  }
}
