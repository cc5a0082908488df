// One call over HTTP: the token, problems, and safe retries.

import { problemOf, ProblemError } from "./problem.ts";

/** Returns the caller's token. `renew` is true if the last one was rejected: then a fresh one is needed. */
export type TokenSource = (renew: boolean) => Promise<string>;

export interface TransportOptions {
  token: TokenSource;
  /** For tests. */
  fetch?: typeof fetch;
  /** For tests. */
  sleep?: (ms: number, signal?: AbortSignal) => Promise<void>;
}

export interface Call {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  url: string;
  body?: unknown;
  /** A file, in place of `body`. */
  file?: Blob;
  /** Sent as `Idempotency-Key`: with it a write may be repeated. */
  key?: string;
  signal?: AbortSignal;
}

/** Maximum number of attempts, and the longest delay between them that a user should wait. */
const TRIES = 4;
const LONGEST_WAIT = 20_000;

/** Makes the call and returns its JSON; throws a ProblemError, or fetch's error if there is no response. */
export async function request(options: TransportOptions, call: Call): Promise<unknown> {
  const pause = options.sleep ?? sleep;
  let renewed = false;
  for (let tries = 1; ; tries++) {
    const answer = await attempt(options, call, renewed);
    if (answer instanceof Response) return answer.status === 204 ? undefined : answer.json();
    call.signal?.throwIfAborted();
    const refused = answer instanceof ProblemError && answer.problem.status === 401;
    if (refused && !renewed) {
      renewed = true;
      continue;
    }
    const wait = (answer instanceof ProblemError ? answer.retryAfter : undefined) ?? backoff(tries);
    if (!mayRepeat(call, answer) || tries >= TRIES || wait > LONGEST_WAIT) throw answer;
    await pause(wait, call.signal);
  }
}

/** A response, or what went wrong. */
async function attempt(options: TransportOptions, call: Call, renew: boolean): Promise<unknown> {
  const headers = new Headers({ Accept: "application/json", Authorization: `Bearer ${await options.token(renew)}` });
  if (call.body !== undefined) headers.set("Content-Type", "application/json");
  if (call.key !== undefined) headers.set("Idempotency-Key", call.key);
  try {
    const response = await (options.fetch ?? fetch)(call.url, {
      method: call.method,
      headers,
      ...bodyOf(call),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
    return response.ok ? response : await problemOf(response);
  } catch (error) {
    return error;
  }
}

/** What is sent. A form sets its own content type. */
function bodyOf({ body, file }: Call): { body?: BodyInit } {
  if (file === undefined) return body === undefined ? {} : { body: JSON.stringify(body) };
  const form = new FormData();
  form.append("file", file);
  return { body: form };
}

// region: repeat
/** A call that had no effect, or is idempotent. */
function mayRepeat(call: Call, error: unknown): boolean {
  // A call beyond the limit was rejected before anything was done.
  if (error instanceof ProblemError && error.problem.status === 429) return true;
  const harmless = call.method === "GET" || call.key !== undefined;
  if (!(error instanceof ProblemError)) return harmless;
  // The first attempt with this key is still in progress: its response will be there.
  const underWay = error.word === "idempotency-key-in-use";
  return harmless && (underWay || [502, 503, 504].includes(error.problem.status));
}
// endregion

/** Full jitter, so that many browsers do not retry at the same moment. */
export function backoff(tries: number, base = 500, most = 15_000): number {
  return Math.random() * Math.min(most, base * 2 ** tries);
}

/** Waits, or rejects as soon as the signal is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }, ms);
    if (signal?.aborted) aborted();
    else signal?.addEventListener("abort", aborted, { once: true });
  });
}
