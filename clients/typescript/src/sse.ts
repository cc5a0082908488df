// Server-Sent Events as the HTML standard parses them ("9.2.6 Interpreting an event stream"). The browser's
// EventSource cannot send an Authorization header, so the stream is read with fetch and parsed here.

/** One event of a stream. */
export interface ServerEvent {
  /** The last `id`; empty if the stream has sent none. */
  id: string;
  /** The `event`, by default `message`. */
  type: string;
  /** The `data` lines, joined by line feeds. */
  data: string;
}

/** What a stream specifies besides its events. */
export interface StreamHints {
  /** How long to wait before the next connection, in milliseconds. */
  retry?: number;
}

/** Parses a stream chunk by chunk; a chunk may end anywhere. */
export class SseParser {
  #line = "";
  #afterCr = false;
  #started = false;
  #data: string[] = [];
  #type = "";
  #id = "";
  readonly hints: StreamHints = {};

  /** Adds the next chunk of the stream's text and returns the events it completes. */
  push(text: string): ServerEvent[] {
    let rest = text;
    if (!this.#started && rest !== "") {
      this.#started = true;
      if (rest.startsWith("\uFEFF")) rest = rest.slice(1);
    }
    const events: ServerEvent[] = [];
    for (const char of rest) {
      // A CR LF is one end of line, even if split across chunks.
      if (char === "\n" && this.#afterCr) {
        this.#afterCr = false;
        continue;
      }
      this.#afterCr = char === "\r";
      if (char !== "\n" && char !== "\r") {
        this.#line += char;
        continue;
      }
      const event = this.#end(this.#line);
      this.#line = "";
      if (event) events.push(event);
    }
    return events;
  }

  #end(line: string): ServerEvent | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    // A line that begins with a colon is a comment; the server sends them to keep the connection open.
    if (colon === 0) return undefined;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^[0-9]+$/.test(value)) this.hints.retry = Number(value);
    return undefined;
  }

  #dispatch(): ServerEvent | undefined {
    const data = this.#data;
    const type = this.#type === "" ? "message" : this.#type;
    this.#data = [];
    this.#type = "";
    return data.length === 0 ? undefined : { id: this.#id, type, data: data.join("\n") };
  }
}
