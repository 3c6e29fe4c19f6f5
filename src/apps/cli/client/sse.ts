/** One event of a stream (WHATWG HTML §9.2.6). */
export interface SseEvent {
  /** The last id the stream gave, also by an earlier event; null before the first. */
  readonly id: string | null;
  /** "message" when the stream does not say. */
  readonly event: string;
  readonly data: string;
}

/** What a stream says beside its events. */
export interface StreamNotes {
  /** Every id, also one that comes without an event: where to take up a broken stream. */
  readonly id?: (id: string) => void;
  /** How long to wait before coming back. */
  readonly retry?: (ms: number) => void;
}

/** Reads a stream of server-sent events to its end. Comments (keep-alives) are skipped. */
export async function* readEvents(
  stream: AsyncIterable<Uint8Array>,
  notes: StreamNotes = {},
): AsyncGenerator<SseEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  let id: string | null = null;
  let event = "";
  let data: string[] = [];
  for await (const chunk of stream) {
    // A CR at the end of a chunk may be half of a CRLF: it waits for the next.
    const text = rest + decoder.decode(chunk, { stream: true });
    const whole = text.endsWith("\r") ? text.slice(0, -1) : text;
    const lines = whole.split(/\r\n|\r|\n/);
    rest = (lines.pop() ?? "") + (text.endsWith("\r") ? "\r" : "");
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) yield { id, event: event || "message", data: data.join("\n") };
        event = "";
        data = [];
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "data") data.push(value);
      else if (field === "event") event = value;
      else if (field === "id" && !value.includes("\0")) {
        id = value;
        notes.id?.(value);
      } else if (field === "retry" && /^\d{1,7}$/.test(value)) notes.retry?.(Number(value));
    }
  }
}
