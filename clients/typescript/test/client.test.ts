import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "../src/client.ts";
import { ProblemError, retryAfterOf } from "../src/problem.ts";
import { sleep } from "../src/transport.ts";

interface Seen {
  url: string;
  method: string;
  headers: Headers;
  body: unknown;
}

/** A client whose calls get these responses, one after the other. */
function clientOf(...answers: (() => Response)[]): { client: Client; seen: Seen[]; waits: number[]; renewals: boolean[] } {
  const seen: Seen[] = [];
  const waits: number[] = [];
  const renewals: boolean[] = [];
  const client = new Client({
    baseUrl: "https://relay.example.com/",
    subaccountId: "acme",
    agentId: "agent one",
    token: async (renew) => {
      renewals.push(renew);
      return renew ? "fresh" : "stale";
    },
    fetch: async (url, init) => {
      const body = init?.body == null ? undefined : JSON.parse(String(init.body));
      seen.push({ url: String(url), method: init?.method ?? "GET", headers: new Headers(init?.headers), body });
      const answer = answers.shift();
      assert.ok(answer, "a call too many");
      return answer();
    },
    sleep: async (ms) => void waits.push(ms),
  });
  return { client, seen, waits, renewals };
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): () => Response {
  return () => new Response(JSON.stringify(body), { status, headers });
}

function problem(status: number, word: string, more: object = {}, headers: Record<string, string> = {}): () => Response {
  return json(status, { type: `urn:dmrelay:problem:${word}`, code: word, title: word, status, ...more }, headers);
}

const noNetwork = (): never => {
  throw new TypeError("fetch failed");
};
const page = json(200, { items: [], total: 0, totalIsExact: true, limit: 50, skip: 0, nextCursor: null });
const accepted = json(202, { messageId: "m", chatId: "c", status: "queued" });
const message = { instagramUserId: "200000000000001", message: "Hello" };

test("a call carries the token and only the parameters that are given", async () => {
  const { client, seen } = clientOf(page);
  await client.chats({ q: "ann & bob", mode: undefined, cursor: undefined });
  const base = "https://relay.example.com/api/database/acme/chat-agents/agent%20one/instagram";
  assert.equal(seen[0]?.url, `${base}/chats?q=ann+%26+bob`);
  assert.equal(seen[0]?.headers.get("Authorization"), "Bearer stale");
  assert.equal(seen[0]?.headers.get("Content-Type"), null);
});

test("paths are filled in, of the agent and of its subaccount", async () => {
  const { client, seen } = clientOf(json(200, {}), json(201, {}), () => new Response(null, { status: 204 }), json(201, {}));
  await client.changeChat("a/b", { tags: ["vip"], assignee: null });
  await client.subaccount.createSession({ subject: "ada", name: "Ada", ttl: 600 });
  assert.equal(await client.deleteNote("c", "n"), undefined);
  await client.call("POST", "/comments/{commentId}/reply", { path: { commentId: "d" }, body: { text: "Thanks" }, key: "k" });
  const root = "https://relay.example.com/api/database/acme";
  const agent = `${root}/chat-agents/agent%20one/instagram`;
  assert.deepEqual(seen.map(({ method, url, body }) => [method, url, body]), [
    ["PATCH", `${agent}/chats/a%2Fb`, { tags: ["vip"], assignee: null }],
    ["POST", `${root}/sessions`, { subject: "ada", name: "Ada", ttl: 600 }],
    ["DELETE", `${agent}/chats/c/notes/n`, undefined],
    ["POST", `${agent}/comments/d/reply`, { text: "Thanks" }],
  ]);
  assert.equal(seen[3]?.headers.get("Idempotency-Key"), "k");
});

test("only what can be called is typed as a call", () => {
  const { client } = clientOf();
  const wrong = (): unknown[] => [
    // @ts-expect-error A picture, a stream and a form are no calls with JSON.
    client.call("GET", "/qr-code"), client.call("GET", "/events"), client.call("POST", "/media"),
    // @ts-expect-error The body is demanded.
    client.call("POST", "/send"),
    // @ts-expect-error The path names a chat.
    client.call("POST", "/chats/{chatId}/read"),
  ];
  assert.equal(typeof wrong, "function");
});

test("a problem document is thrown with its type and its fields", async () => {
  const errors = [{ pointer: "/instagramUserId", detail: "must be digits" }, { parameter: "limit", detail: "must be 1 to 200" }];
  const { client } = clientOf(problem(422, "invalid-request", { errors }));
  await assert.rejects(client.send(message, "key"), (error) => {
    assert.ok(error instanceof ProblemError);
    assert.equal(error.word, "invalid-request");
    assert.equal(error.at("/instagramUserId"), "must be digits");
    assert.equal(error.at("limit"), "must be 1 to 200");
    assert.equal(error.at("/message"), undefined);
    return true;
  });
});

test("an error page of a proxy becomes a problem too", async () => {
  const html = (): Response => new Response("<html>", { status: 413, statusText: "Too Large" });
  const { client } = clientOf(html);
  await assert.rejects(client.send(message, "key"), (error) => error instanceof ProblemError && error.problem.status === 413);
});

test("a rejected token is renewed once", async () => {
  const { client, seen, renewals } = clientOf(problem(401, "unauthenticated"), page);
  await client.chats();
  assert.deepEqual(renewals, [false, true]);
  assert.equal(seen[1]?.headers.get("Authorization"), "Bearer fresh");

  const refused = clientOf(problem(401, "unauthenticated"), problem(401, "unauthenticated"));
  await assert.rejects(refused.client.chats(), ProblemError);
  assert.equal(refused.seen.length, 2);
});

test("beyond the rate limit it waits as long as the API asks, also for writes", async () => {
  const limited = problem(429, "rate-limited", {}, { "Retry-After": "3" });
  const { client, waits } = clientOf(limited, json(200, {}));
  await client.takeOver("c");
  assert.deepEqual(waits, [3_000]);
});

test("a delay that is too long is not waited for", async () => {
  const { client, waits } = clientOf(problem(429, "rate-limited", {}, { "Retry-After": "3600" }));
  await assert.rejects(client.chats(), (error) => error instanceof ProblemError && error.retryAfter === 3_600_000);
  assert.deepEqual(waits, []);
});

test("a send of unknown outcome is repeated with the same key", async () => {
  const busy = problem(409, "idempotency-key-in-use", {}, { "Retry-After": "1" });
  const { client, seen, waits } = clientOf(noNetwork, busy, problem(503, "database-unavailable"), accepted);
  assert.equal((await client.send(message, "key-1")).messageId, "m");
  assert.deepEqual(seen.map(({ headers }) => headers.get("Idempotency-Key")), Array(4).fill("key-1"));
  assert.deepEqual(seen.map(({ body }) => body), Array(4).fill(message));
  assert.equal(waits[1], 1_000);
});

test("a write without a key is not repeated if its outcome is unknown", async () => {
  for (const answer of [noNetwork, problem(503, "database-unavailable"), problem(504, "timeout")]) {
    const { client, seen } = clientOf(answer);
    await assert.rejects(client.takeOver("c"));
    assert.equal(seen.length, 1);
  }
});

test("a rejected call is not repeated", async () => {
  const { client, seen } = clientOf(problem(422, "window-closed"));
  await assert.rejects(client.send(message, "key"), ProblemError);
  assert.equal(seen.length, 1);
});

test("it gives up after four tries", async () => {
  const { client, seen } = clientOf(noNetwork, noNetwork, noNetwork, noNetwork);
  await assert.rejects(client.chats(), TypeError);
  assert.equal(seen.length, 4);
});

test("an aborted call ends at once", async () => {
  const stop = new AbortController();
  const { client, seen } = clientOf(() => {
    stop.abort();
    throw new DOMException("aborted", "AbortError");
  });
  await assert.rejects(client.chats({}, stop.signal), { name: "AbortError" });
  assert.equal(seen.length, 1);
});

test("Retry-After is seconds or a date", () => {
  assert.equal(retryAfterOf("7"), 7_000);
  assert.equal(retryAfterOf("Wed, 21 Oct 2026 07:28:10 GMT", Date.parse("2026-10-21T07:28:00Z")), 10_000);
  assert.equal(retryAfterOf("Wed, 21 Oct 2026 07:28:10 GMT", Date.parse("2026-10-21T08:00:00Z")), 0);
  assert.equal(retryAfterOf("soon"), undefined);
  assert.equal(retryAfterOf(null), undefined);
});

test("a wait ends when its signal is aborted", async () => {
  const stop = new AbortController();
  const waiting = sleep(60_000, stop.signal);
  stop.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  await assert.rejects(sleep(60_000, stop.signal), { name: "AbortError" });
});
