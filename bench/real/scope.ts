/** What a benchmark has made and must be gone when it ends, however it ends. */
export class Scope {
  private readonly stopping = new AbortController();
  private readonly endings: (() => Promise<void> | void)[] = [];
  private closing: Promise<void> | null = null;

  /** Aborted when it closes: what is being started is given up. */
  get signal(): AbortSignal {
    return this.stopping.signal;
  }

  /** Called by `close`, last added first; at once when it is closed already. */
  defer(end: () => Promise<void> | void): void {
    if (this.closing === null) this.endings.push(end);
    else this.closing = this.closing.then(end);
  }

  /** Ends everything, also when one of the endings fails. Idempotent. @throws the first failure. */
  close(): Promise<void> {
    this.stopping.abort(new Error("the benchmark was stopped"));
    this.closing ??= this.endAll();
    return this.closing;
  }

  private async endAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let end = this.endings.pop(); end !== undefined; end = this.endings.pop()) {
      try {
        await end();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
