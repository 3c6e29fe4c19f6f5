/** The connection of a session: what is asked over it fails when it is cut, whatever becomes of the work itself. */
export class Link {
  private readonly waiting = new Set<(error: Error) => void>();
  private isUp = true;

  get up(): boolean {
    return this.isUp;
  }

  /** As `answer`, or rejected with the error given to cut() if that comes first. */
  async follow<T>(answer: Promise<T>): Promise<T> {
    const { promise: broken, reject } = Promise.withResolvers<never>();
    this.waiting.add(reject);
    try {
      return await Promise.race([answer, broken]);
    } finally {
      this.waiting.delete(reject);
    }
  }

  /** For when all that is under way has been answered. */
  close(): void {
    this.isUp = false;
  }

  cut(error: Error): void {
    this.isUp = false;
    for (const reject of this.waiting) reject(error);
    this.waiting.clear();
  }
}
