/**
 * Which server to try next: each of a round at once, one after another; then a pause, which grows, and a new round with
 * names resolved anew. Jitter on the pauses keeps many clients of one ensemble from coming back in step.
 */

export interface ServerAddress {
  /** As it stands in the connection string; for messages and for the server's certificate. */
  readonly host: string;
  readonly ip: string;
  readonly port: number;
}

export const PAUSE_FIRST_MS = 20;
export const PAUSE_MOST_MS = 500;

const same = (a: ServerAddress, b: ServerAddress): boolean => a.ip === b.ip && a.port === b.port;

export class ServerOrder {
  private known: readonly ServerAddress[] = [];
  private round: ServerAddress[] = [];
  private failures = 0;
  /** Uniform in [0, 1). */
  private readonly random: () => number;

  constructor(random: () => number) {
    this.random = random;
  }

  get count(): number {
    return this.known.length;
  }

  /** Rounds in which no server would do, since the last good connection. */
  get failedRounds(): number {
    return this.failures;
  }

  /** Begins a round, in random order: the clients of an ensemble should spread over it. */
  resolved(addresses: readonly ServerAddress[]): void {
    this.known = addresses;
    this.round = shuffled(addresses, this.random);
  }

  /** Null: the round is over. */
  next(): ServerAddress | null {
    return this.round.shift() ?? null;
  }

  /** A connection broke: the others at once, this one last. */
  lost(address: ServerAddress): void {
    const others = this.known.filter((a) => !same(a, address));
    this.round = [...shuffled(others, this.random), address];
  }

  /** The connection was good. */
  stood(): void {
    this.failures = 0;
  }

  /** To be asked once at the end of each round. */
  pauseMs(): number {
    const longest = Math.min(PAUSE_MOST_MS, PAUSE_FIRST_MS * 2 ** Math.min(this.failures, 10));
    this.failures++;
    return longest * (0.5 + this.random() / 2);
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}
