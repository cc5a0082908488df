// Live events: one persistent stream. It resumes where it stopped (Last-Event-ID), waits longer after each
// failure, and delivers every event once.

import { ProblemError, problemOf } from "./problem.ts";
import { SseParser, type ServerEvent } from "./sse.ts";
import { backoff, sleep, type TokenSource } from "./transport.ts";
import type { LiveEvent } from "./types.ts";

export type StreamState = "connecting" | "open" | "waiting";

export interface FollowOptions {
  url: string;
  token: TokenSource;
  /** Ends the stream; `follow` then returns. */
  signal: AbortSignal;
  onEvent: (event: LiveEvent) => void;
  /** `open` is also reported after each reconnect. */
  onState?: (state: StreamState) => void;
  /** For tests. */
  fetch?: typeof fetch;
  /** For tests. */
  sleep?: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** How long a stream may be silent before it counts as dead; the server's comments count as activity. */
  silence?: number;
}

/** Number of ids remembered. After a resume the server may repeat the events of five seconds. */
const REMEMBERED = 10_000;
/** The server sends at least a comment every 15 seconds. */
const SILENCE = 45_000;
/** Delay after a stream ended normally, unless the server says otherwise. */
const RETRY = 1_000;

// region: follow
/** Follows the events until the signal is aborted. Throws a ProblemError if retrying cannot help. */
export async function follow(options: FollowOptions): Promise<void> {
  const { signal, onState } = options;
  const pause = options.sleep ?? sleep;
  const position: Position = { lastId: "", seen: new Set(), retry: RETRY };
  let failures = 0;
  let renew = false;
  while (!signal.aborted) {
    onState?.("connecting");
    let wait: number;
    try {
      await once(options, position, renew, () => {
        failures = 0;
        renew = false;
        onState?.("open");
      });
      wait = position.retry * (0.5 + Math.random());
    } catch (error) {
      if (signal.aborted) return;
      const status = error instanceof ProblemError ? error.problem.status : 0;
      if (status === 401 && !renew) {
        renew = true;
        continue;
      }
      if (status >= 400 && status < 500 && status !== 429) throw error;
      failures++;
      const asked = error instanceof ProblemError ? error.retryAfter : undefined;
      wait = asked ?? Math.max(position.retry, backoff(failures, 1_000, 30_000));
    }
    onState?.("waiting");
    await pause(wait, signal).catch(() => undefined);
  }
}
// endregion

/** State that outlives a connection. */
interface Position {
  lastId: string;
  seen: Set<string>;
  retry: number;
}

/** One connection, until the server ends it. */
async function once(
  options: FollowOptions, position: Position, renew: boolean, onOpen: () => void,
): Promise<void> {
  const connection = new AbortController();
  const end = (): void => connection.abort(options.signal.reason);
  options.signal.addEventListener("abort", end, { once: true });
  let watchdog: ReturnType<typeof setTimeout> | undefined;
  const alive = (): void => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => connection.abort(new Error("the stream is silent")), options.silence ?? SILENCE);
  };
  try {
    alive();
    const headers = new Headers({ Accept: "text/event-stream", Authorization: `Bearer ${await options.token(renew)}` });
    if (position.lastId !== "") headers.set("Last-Event-ID", position.lastId);
    const response = await (options.fetch ?? fetch)(options.url, { headers, cache: "no-store", signal: connection.signal });
    if (!response.ok) throw await problemOf(response);
    const type = response.headers.get("Content-Type") ?? "";
    if (!type.startsWith("text/event-stream") || !response.body) throw new Error(`no event stream, but ${type}`);
    onOpen();
    await read(response.body.getReader(), position, options, alive);
  } finally {
    clearTimeout(watchdog);
    options.signal.removeEventListener("abort", end);
    connection.abort();
  }
}

async function read(
  reader: ReadableStreamDefaultReader<Uint8Array>, position: Position, options: FollowOptions, alive: () => void,
): Promise<void> {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const parser = new SseParser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    for (const event of parser.push(decoder.decode(value, { stream: true }))) {
      if (options.signal.aborted) return;
      take(event, position, options);
    }
    position.retry = parser.hints.retry ?? position.retry;
  }
}

function take(event: ServerEvent, position: Position, options: FollowOptions): void {
  // More was missed than is resent. The listener has read the lists again since the stream opened, so there is
  // nothing to resume from.
  if (event.type === "reset") position.lastId = "";
  else if (event.id !== "") position.lastId = event.id;
  const live = parse(event);
  if (!live || position.seen.has(live.id)) return;
  position.seen.add(live.id);
  const [oldest] = position.seen;
  if (position.seen.size > REMEMBERED && oldest !== undefined) position.seen.delete(oldest);
  options.onEvent(live);
}

/** Undefined if the data is not a known event: a later version may send others. */
function parse(event: ServerEvent): LiveEvent | undefined {
  try {
    const data = JSON.parse(event.data) as Partial<LiveEvent> | null;
    return typeof data?.id === "string" && typeof data.type === "string" ? (data as LiveEvent) : undefined;
  } catch {
    return undefined;
  }
}
