/** The three clocks of a standing connection. T is the session timeout granted. */
export class Liveness {
  private timeoutMs = 0;
  private nextPingMs = 0;
  /** When a complete frame came last. */
  private heardMs = 0;
  /** When anybody last looked: the transport or the timer. */
  private lookedMs = 0;

  begin(timeoutMs: number, nowMs: number): void {
    this.timeoutMs = timeoutMs;
    this.nextPingMs = nowMs + timeoutMs / 3;
    this.heardMs = nowMs;
    this.lookedMs = nowMs;
  }

  heard(nowMs: number): void {
    this.heardMs = nowMs;
  }

  silentMs(nowMs: number): number {
    return nowMs - this.heardMs;
  }

  /** The server counts as gone: the third of T that is left is for finding another. */
  isSilent(nowMs: number): boolean {
    return this.silentMs(nowMs) >= (this.timeoutMs * 2) / 3;
  }

  /** A server that does not like the session may be believed: it would have ended long ago. */
  isDoubtful(nowMs: number): boolean {
    return this.silentMs(nowMs) > (this.timeoutMs * 4) / 3;
  }

  /** True every T/3, whatever else is sent. */
  takePing(nowMs: number): boolean {
    if (nowMs < this.nextPingMs) return false;
    this.nextPingMs = nowMs + this.timeoutMs / 3;
    return true;
  }

  /**
   * For how long nobody looked, ms, when that is more than T/3; else null. What the server said meanwhile is still unread:
   * it gets the time of an answer before it counts as silent.
   */
  look(nowMs: number): number | null {
    const gapMs = nowMs - this.lookedMs;
    this.lookedMs = nowMs;
    if (gapMs <= this.timeoutMs / 3) return null;
    this.heardMs = Math.max(this.heardMs, nowMs - this.timeoutMs / 3);
    return gapMs;
  }

  /** When to look next: often enough to notice that nobody did. */
  get deadlineMs(): number {
    return Math.min(this.lookedMs + Math.min(1000, this.timeoutMs / 9), this.nextPingMs);
  }
}
