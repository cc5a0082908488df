import assert from "node:assert/strict";
import { test } from "node:test";
import { withChat, withMessage } from "../src/merge.ts";
import type { Chat, Message } from "../src/types.ts";

const message = (messageId: string, second: number, text = ""): Message =>
  ({ messageId, text, createdAt: new Date(second * 1_000).toISOString() }) as Message;
const chat = (chatId: string, lastMessageAt: string, name = ""): Chat => ({ chatId, lastMessageAt, name }) as Chat;

test("a message that changed keeps its place, a new one comes first", () => {
  const shown = [message("b", 2), message("a", 1)];
  assert.deepEqual(withMessage(shown, message("a", 1, "edited"))?.map((one) => one.text), ["", "edited"]);
  assert.deepEqual(withMessage(shown, message("c", 3))?.map((one) => one.messageId), ["c", "b", "a"]);
  assert.deepEqual(withMessage([], message("c", 3))?.map((one) => one.messageId), ["c"]);
  // An older one that is not shown: its page may not be loaded.
  assert.equal(withMessage(shown, message("0", 0)), undefined);
  assert.deepEqual(shown.map((one) => one.messageId), ["b", "a"]);
});

test("a chat moves to the top with a message only", () => {
  const shown = [chat("b", "2"), chat("a", "1")];
  assert.deepEqual(withChat(shown, chat("a", "1", "Ann")).map((one) => one.chatId), ["b", "a"]);
  assert.equal(withChat(shown, chat("a", "1", "Ann"))[1]?.name, "Ann");
  assert.deepEqual(withChat(shown, chat("a", "3")).map((one) => one.chatId), ["a", "b"]);
  assert.deepEqual(withChat(shown, chat("c", "3")).map((one) => one.chatId), ["c", "b", "a"]);
});
