import type { Clock } from "#core/base";

/** A token that is kept, renewed before it ends, and thrown away when it is not taken any more. */
export class ServiceToken {
  private readonly clock: Clock;
  private readonly make: () => Promise<Made>;
  private current: Made | null = null;
  private making: Promise<Made> | null = null;

  /** @param make gets a new one; only one call is under way at a time. */
  constructor(clock: Clock, make: () => Promise<Made>) {
    this.clock = clock;
    this.make = make;
  }

  /** @throws what `make` throws. */
  async get(): Promise<string> {
    const { current } = this;
    if (current !== null && (current.expiresAtMs === null || current.expiresAtMs - RENEW_MS > this.clock.nowMs()))
      return current.token;
    this.making ??= this.renew();
    return (await this.making).token;
  }

  /** Somebody was told that this one is not valid. */
  refused(token: string): void {
    if (this.current?.token === token) this.current = null;
  }

  private async renew(): Promise<Made> {
    try {
      this.current = await this.make();
      return this.current;
    } finally {
      this.making = null;
    }
  }
}

export interface Made {
  readonly token: string;
  readonly expiresAtMs: number | null;
}

/** As MidoNet does. */
const RENEW_MS = 60_000;
