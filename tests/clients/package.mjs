// What a frontend does, through the package clients/typescript as it is built: argv[2] is JSON with the address, a key, the subaccount,
// the agent and a customer who has written. It prints what was seen as JSON.

import assert from "node:assert/strict";
import { Client, ProblemError, Subaccount, follow, newKey } from "../../clients/typescript/dist/index.js";

const { url, key, subaccountId, agentId, customer } = JSON.parse(process.argv[2] ?? "");
const backend = new Subaccount({ baseUrl: url, subaccountId, token: async () => key });
const { token } = await backend.createSession({ subject: "ada", name: "Ada Byron", role: "operator", ttl: 600 });
const client = new Client({ baseUrl: url, subaccountId, agentId, token: async () => token });

const me = await client.subaccount.me();
assert.deepEqual([me.role, me.actor], ["operator", "Ada Byron"]);
const [chat] = (await client.chats({ instagramUserId: customer })).items;
assert.ok(chat && chat.unreadCount > 0, "no unread chat");
assert.equal((await client.markRead(chat.chatId)).unreadCount, 0);

// Whatever changes comes as an event, with message and chat.
const stop = new AbortController();
const told = [];
const opened = new Promise((resolve, reject) => {
  follow({
    url: `${client.eventsUrl}?include=message,chat`, token: client.token, signal: stop.signal,
    onEvent: (event) => told.push(event), onState: (state) => state === "open" && resolve(undefined),
  }).catch(reject);
});
await opened;

const changed = await client.changeChat(chat.chatId, { assignee: "me", tags: ["vip"] });
assert.deepEqual([changed.assignee, changed.tags], ["ada", ["vip"]]);
const note = await client.addNote(chat.chatId, "Likes tea");
assert.equal((await client.notes(chat.chatId)).items[0]?.text, "Likes tea");
await client.deleteNote(chat.chatId, note.noteId);
assert.equal((await client.notes(chat.chatId)).items.length, 0);

assert.equal((await client.takeOver(chat.chatId, "untilReleased")).resumeAt, null);
const sent = await client.send({ instagramUserId: customer, message: "By a generated client" }, newKey());
const question = (await client.chat(chat.chatId)).messages.items.find((message) => message.direction === "inbound");
assert.ok(question, "no question");
const reacted = await client.react(question.messageId, "love");
assert.equal(reacted.metadata?.ourReaction, "love");
assert.ok(!(await client.react(question.messageId, null)).metadata?.ourReaction);
assert.equal((await client.release(chat.chatId)).mode, "bot");

const hello = { name: "Hello", message: { text: "Hello {{name}}" } };
await assert.rejects(client.subaccount.saveTemplate(hello), ({ problem }) => problem.code === "forbidden" && !!problem.permission);
const saved = await backend.saveTemplate(hello);
assert.equal((await backend.saveTemplate({ ...hello, name: "Hi", version: saved.version }, saved.templateId)).name, "Hi");
const overview = await client.subaccount.overview({ range: "day" });
assert.equal(overview.range, "day");
assert.equal((await client.subaccount.chats()).items.length, 1);
await assert.rejects(client.call("POST", "/comments/{commentId}/reply", { path: { commentId: crypto.randomUUID() }, body: { text: "x" } }),
  (error) => error instanceof ProblemError && error.word === "not-found");

const until = Date.now() + 10_000;
const sentOne = () => told.find((event) => event.type === "message.sent" && event.message?.messageId === sent.messageId);
while (!sentOne() && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 50));
const event = sentOne();
assert.ok(event, JSON.stringify(told.map(({ type }) => type)));
assert.deepEqual([event.message.text, event.message.actor, event.chat.chatId], ["By a generated client", "Ada Byron", chat.chatId]);
stop.abort();
console.log(JSON.stringify({ chat: chat.chatId, message: sent.messageId }));
process.exit(0);
