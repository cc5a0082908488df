import assert from "node:assert/strict";
import { test } from "node:test";
import { readUpTo, withChat, withMessage } from "../src/merge.ts";
import type { Chat, Message } from "../src/types.ts";

const message = (messageId: string, more: Partial<Message> = {}): Message => ({ messageId, text: "", ...more }) as Message;
const chat = (chatId: string, day: number, name = ""): Chat =>
  ({ chatId, lastMessageAt: new Date(Date.UTC(2026, 0, day)).toISOString(), name }) as Chat;
const ids = (chats: Chat[]): string[] => chats.map((one) => one.chatId);

test("a message that changed keeps its place, a new one comes first", () => {
  const shown = [message("b"), message("a")];
  assert.deepEqual(withMessage(shown, message("a", { text: "edited" }))?.map((one) => one.text), ["", "edited"]);
  assert.deepEqual(withMessage(shown, message("c"))?.map((one) => one.messageId), ["c", "b", "a"]);
  assert.deepEqual(withMessage([], message("c"))?.map((one) => one.messageId), ["c"]);
  // An older one that is not shown: its page may not be loaded.
  assert.equal(withMessage(shown, message("0")), undefined);
  assert.deepEqual(shown.map((one) => one.messageId), ["b", "a"]);
});

test("what was sent before a message that was read was read, too", () => {
  const sent = { direction: "outbound", status: "sent", readAt: null } as const;
  const shown = [message("d", sent), message("c", sent), message("b", { direction: "inbound", readAt: null }), message("a", sent)];
  const read = readUpTo(shown, message("c", { ...sent, readAt: "now" }));
  assert.deepEqual(read.map((one) => one.readAt), [null, "now", null, "now"]);
});

test("a chat has the place of its last message", () => {
  const shown = [chat("c", 5), chat("b", 3), chat("a", 2)];
  // Nothing was written: it stays where it is.
  assert.equal(withChat(shown, chat("a", 2, "Ann"), false)[2]?.name, "Ann");
  assert.deepEqual(ids(withChat(shown, chat("a", 9), false)), ["a", "c", "b"]);
  assert.deepEqual(ids(withChat(shown, chat("a", 4), false)), ["c", "a", "b"]);
  assert.deepEqual(ids(withChat(shown, chat("d", 4), true)), ["c", "d", "b", "a"]);
  // One of last year is tagged: it is on a page that is not loaded, if there is one.
  assert.deepEqual(ids(withChat(shown, chat("old", 1), true)), ["c", "b", "a"]);
  assert.deepEqual(ids(withChat(shown, chat("old", 1), false)), ["c", "b", "a", "old"]);
});
