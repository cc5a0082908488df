// One call over HTTP: the token, problems, and repeating what may be repeated.

import { problemOf, ProblemError } from "./problem.ts";

/** Gives the caller's token. `renew` is true when the last one was refused: then a fresh one is needed. */
export type TokenSource = (renew: boolean) => Promise<string>;

export interface TransportOptions {
  token: TokenSource;
  /** For tests. */
  fetch?: typeof fetch;
  /** For tests. */
  sleep?: (ms: number, signal?: AbortSignal) => Promise<void>;
}

export interface Call {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  url: string;
  body?: unknown;
  /** Sent as `Idempotency-Key`: with it a write may be repeated. */
  key?: string;
  signal?: AbortSignal;
}

/** How often a call is tried, and the longest wait in between that a person is made to sit through. */
const TRIES = 4;
const LONGEST_WAIT = 20_000;

/** Makes the call and gives the JSON it answers; throws a ProblemError, or fetch's error where nothing answers. */
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

/** An answer, or what went wrong. */
async function attempt(options: TransportOptions, call: Call, renew: boolean): Promise<unknown> {
  const headers = new Headers({ Accept: "application/json", Authorization: `Bearer ${await options.token(renew)}` });
  if (call.body !== undefined) headers.set("Content-Type", "application/json");
  if (call.key !== undefined) headers.set("Idempotency-Key", call.key);
  try {
    const response = await (options.fetch ?? fetch)(call.url, {
      method: call.method,
      headers,
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
    return response.ok ? response : await problemOf(response);
  } catch (error) {
    return error;
  }
}

// region: repeat
/** A call that had no effect, or whose effect is the same the second time. */
function mayRepeat(call: Call, error: unknown): boolean {
  // A call beyond the limit was refused before anything was done.
  if (error instanceof ProblemError && error.problem.status === 429) return true;
  const harmless = call.method === "GET" || call.key !== undefined;
  if (!(error instanceof ProblemError)) return harmless;
  // The first try with this key has not ended yet: its answer will be there.
  const underWay = error.word === "idempotency-key-in-use";
  return harmless && (underWay || [502, 503, 504].includes(error.problem.status));
}
// endregion

/** Full jitter, so that many browsers do not come back at the same moment. */
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
