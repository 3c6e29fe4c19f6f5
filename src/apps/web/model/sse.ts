/** One event of a stream (WHATWG HTML §9.2.6). */
export interface StreamEvent {
  readonly event: string;
  readonly data: string;
  /** The last id that was seen, which a client comes back with; null before there was one. */
  readonly id: string | null;
}

/**
 * Reads a stream of server-sent events piece by piece, wherever the pieces are cut. The browser's own EventSource would do,
 * but it can send no header: a token would have to stand in the URL.
 */
export class EventStreamParser {
  /** Asked for by the server; null: it did not say. */
  retryMs: number | null = null;
  lastId: string | null = null;
  private rest = "";
  private lines: string[] = [];
  private first = true;

  push(text: string): StreamEvent[] {
    this.rest += text;
    if (this.first && this.rest !== "") {
      this.first = false;
      if (this.rest.startsWith("\ufeff")) this.rest = this.rest.slice(1);
    }
    const events: StreamEvent[] = [];
    // Lines end with CRLF, LF or CR; a CR at the very end may be half of a CRLF, and waits.
    const ends = /\r\n|\n|\r(?=[^\n])/g;
    let from = 0;
    for (let end = ends.exec(this.rest); end !== null; end = ends.exec(this.rest)) {
      const line = this.rest.slice(from, end.index);
      from = end.index + end[0].length;
      if (line !== "") this.lines.push(line);
      else {
        const event = this.read(this.lines);
        this.lines = [];
        if (event !== null) events.push(event);
      }
    }
    this.rest = this.rest.slice(from);
    return events;
  }

  private read(lines: readonly string[]): StreamEvent | null {
    let name = "message";
    const data: string[] = [];
    for (const line of lines) {
      const colon = line.indexOf(":");
      const field = colon === -1 ? line : line.slice(0, colon);
      const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") name = value;
      else if (field === "data") data.push(value);
      else if (field === "id" && !value.includes("\0")) this.lastId = value;
      else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
    }
    return data.length === 0 ? null : { event: name, data: data.join("\n"), id: this.lastId };
  }
}
