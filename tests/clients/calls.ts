// What a frontend does, through the client that Hey API generated: argv[2] is JSON with the address, a key, the subaccount, the agent and
// a customer who has written. It prints what was seen as JSON.

import assert from "node:assert/strict";
import { client } from "./generated/client.gen.js";
import * as api from "./generated/index.js";

const { url, key, subaccountId, agentId, customer } = JSON.parse(process.argv[2] ?? "");
client.setConfig({ baseUrl: url, auth: () => key });
const path = { subaccountId, agentId };

const chats = await api.listChats({ path, query: { instagramUserId: customer }, throwOnError: true });
const [chat] = chats.data.items;
assert.ok(chat, "no chat");
assert.equal(chat.canSend.allowed, true);

// Bodies that may be left out are left out, or given.
const target = { path: { ...path, chatId: chat.chatId } };
const taken = await api.takeOverChat({ ...target, throwOnError: true });
assert.equal(taken.data.mode, "human");
const again = await api.takeOverChat({ ...target, body: { hours: 1 }, throwOnError: true });
assert.ok(again.data.resumeAt);

const sent = await api.sendMessage({
  path,
  body: { instagramUserId: customer, message: "By a generated client" },
  headers: { "Idempotency-Key": "hey-1" },
  throwOnError: true,
});
assert.ok(sent.data.messageId);
const released = await api.releaseChat({ ...target, throwOnError: true });
assert.equal(released.data.mode, "bot");

// A problem has its type.
const refused = await api.sendMessage({ path, body: { instagramUserId: "none", message: "" } });
assert.equal(refused.response?.status, 422);
assert.ok(refused.error && "code" in refused.error && refused.error.code === "invalid-request");

const overview = await api.getOverview({ path: { subaccountId }, query: { range: "day" }, throwOnError: true });
assert.equal(overview.data.range, "day");

// Live events come, each with what it is about.
const events = await api.streamEvents({ path, query: { include: "message,chat" } });
const told = events.stream.next();
const noted = await api.addChatNote({ ...target, body: { text: "A note" }, throwOnError: true });
assert.equal(noted.data.text, "A note");
const { value: event, done } = await told;
assert.ok(!done && event, "no event came");
console.log(JSON.stringify({ chat: chat.chatId, message: sent.data.messageId }));
process.exit(0);
