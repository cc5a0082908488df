import assert from "node:assert/strict";
import { test } from "node:test";
import { follow, type FollowOptions, type StreamState } from "../src/events.ts";
import { ProblemError } from "../src/problem.ts";

interface Run {
  /** Ids of the delivered events. */
  ids: string[];
  states: StreamState[];
  waits: number[];
  requests: Headers[];
  error: unknown;
}

/** Follows streams, one after the other, until they are used up. */
async function run(answers: ((signal: AbortSignal) => Response)[], more: Partial<FollowOptions> = {}): Promise<Run> {
  const stop = new AbortController();
  const seen: Run = { ids: [], states: [], waits: [], requests: [], error: undefined };
  const left = [...answers];
  const following = follow({
    url: "https://relay.example.com/events",
    token: async (renew) => (renew ? "fresh" : "stale"),
    signal: stop.signal,
    onEvent: (event) => void seen.ids.push(event.id),
    onState: (state) => void seen.states.push(state),
    fetch: async (_, init) => {
      const answer = left.shift();
      seen.requests.push(new Headers(init?.headers));
      assert.ok(answer && init?.signal);
      return answer(init.signal);
    },
    sleep: async (ms) => {
      seen.waits.push(ms);
      if (left.length === 0) stop.abort();
    },
    ...more,
  });
  await following.catch((error: unknown) => (seen.error = error));
  return seen;
}

const event = (id: string): string => {
  const data = { id, type: "message.sent", at: "2026-01-01T00:00:00Z", connectionId: "k", actor: "agent", details: {} };
  return `id: ${id}\nevent: message.sent\ndata: ${JSON.stringify(data)}\n\n`;
};

/** A stream that sends this and ends. */
const stream = (text: string) => (): Response =>
  new Response(text, { headers: { "Content-Type": "text/event-stream; charset=utf-8" } });

/** A stream that sends this and then nothing, until it is abandoned. */
const silent = (text: string) => (signal: AbortSignal): Response => {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
      signal.addEventListener("abort", () => controller.error(signal.reason));
    },
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
};

const problem = (status: number, word: string, headers: Record<string, string> = {}) => (): Response =>
  new Response(JSON.stringify({ type: `urn:dmrelay:problem:${word}`, title: word, status }), { status, headers });

test("it resumes after the last event, and delivers repeated ones once", async () => {
  const seen = await run([stream(event("1") + event("2")), stream(event("2") + event("3"))]);
  assert.deepEqual(seen.ids, ["1", "2", "3"]);
  assert.equal(seen.requests[0]?.get("Last-Event-ID"), null);
  assert.equal(seen.requests[1]?.get("Last-Event-ID"), "2");
  assert.equal(seen.requests[1]?.get("Authorization"), "Bearer stale");
  assert.deepEqual(seen.states, ["connecting", "open", "waiting", "connecting", "open", "waiting"]);
  assert.equal(seen.error, undefined);
});

test("after a reset it does not resume from where it was", async () => {
  const reset = "event: reset\ndata: {}\n\n";
  const seen = await run([stream(event("1")), stream(reset), stream(event("9")), stream(event("9"))]);
  assert.deepEqual(seen.requests.map((headers) => headers.get("Last-Event-ID")), [null, "1", null, "9"]);
  assert.deepEqual(seen.ids, ["1", "9"]);
});

test("an event cut off by the end of the stream is not delivered, and requested again", async () => {
  const seen = await run([stream(event("1") + event("2").slice(0, -1)), stream(event("2"))]);
  assert.deepEqual(seen.ids, ["1", "2"]);
  assert.equal(seen.requests[1]?.get("Last-Event-ID"), "1");
});

test("unknown events are skipped", async () => {
  const seen = await run([stream("data: no JSON\n\ndata: null\n\ndata: {\"id\":1}\n\n: comment\n\n" + event("1"))]);
  assert.deepEqual(seen.ids, ["1"]);
});

test("a text cut in the middle of a character is put together", async () => {
  const bytes = new TextEncoder().encode(event("ä"));
  const cut = bytes.indexOf(0xc3) + 1;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes.slice(0, cut));
      controller.enqueue(bytes.slice(cut));
      controller.close();
    },
  });
  const seen = await run([() => new Response(body, { headers: { "Content-Type": "text/event-stream" } })]);
  assert.deepEqual(seen.ids, ["ä"]);
});

test("the server's retry determines the reconnect delay", async () => {
  const seen = await run([stream("retry: 8000\n\n" + event("1"))]);
  assert.ok(seen.waits[0]! >= 4_000 && seen.waits[0]! <= 12_000, String(seen.waits[0]));
});

test("it waits as long as requested, and longer after each failure", async () => {
  const down = (): never => {
    throw new TypeError("fetch failed");
  };
  const random = Math.random;
  Math.random = () => 0.999;
  try {
    const seen = await run([problem(429, "rate-limited", { "Retry-After": "7" }), down, down, down, stream(event("1"))]);
    assert.equal(seen.waits[0], 7_000);
    const [, first, second, third] = seen.waits as [number, number, number, number];
    assert.ok(first < second && second < third && third <= 30_000, seen.waits.join());
    assert.deepEqual(seen.ids, ["1"]);
    // A stream that opened resets the count.
    assert.ok(seen.waits[4]! < first);
  } finally {
    Math.random = random;
  }
});

test("an expired token is renewed, once", async () => {
  const seen = await run([problem(401, "unauthenticated"), stream(event("1")), problem(401, "unauthenticated"), stream(event("2"))]);
  assert.deepEqual(seen.requests.map((headers) => headers.get("Authorization")), ["Bearer stale", "Bearer fresh", "Bearer stale", "Bearer fresh"]);
  assert.deepEqual(seen.ids, ["1", "2"]);

  const refused = await run([problem(401, "unauthenticated"), problem(401, "unauthenticated")]);
  assert.ok(refused.error instanceof ProblemError);
});

test("a rejection ends it", async () => {
  const seen = await run([problem(403, "forbidden")]);
  assert.ok(seen.error instanceof ProblemError && seen.error.word === "forbidden");
  assert.deepEqual(seen.waits, []);
});

test("a page that is not an event stream is a failure, not an end", async () => {
  const page = (): Response => new Response("<html>", { headers: { "Content-Type": "text/html" } });
  const seen = await run([page, stream(event("1"))]);
  assert.deepEqual(seen.ids, ["1"]);
});

test("a silent stream is abandoned and reopened", async () => {
  const seen = await run([silent(event("1")), stream(event("2"))], { silence: 20 });
  assert.deepEqual(seen.ids, ["1", "2"]);
  assert.equal(seen.requests[1]?.get("Last-Event-ID"), "1");
});

test("it ends when aborted", async () => {
  const stop = new AbortController();
  const seen = await run([silent(event("1"))], { signal: stop.signal, onEvent: () => stop.abort() });
  assert.equal(seen.error, undefined);
  assert.deepEqual(seen.waits, []);
});
