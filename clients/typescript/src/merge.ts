// What a live event changes in a list that is shown.

import type { Chat, Message } from "./types.ts";

/** The messages, newest first, with one that came or changed; undefined if only the server knows its place. */
export function withMessage(messages: Message[], changed: Message): Message[] | undefined {
  const at = messages.findIndex((message) => message.messageId === changed.messageId);
  if (at >= 0) return messages.with(at, changed);
  const newest = messages[0];
  const isNewest = newest === undefined || Date.parse(changed.createdAt) >= Date.parse(newest.createdAt);
  return isNewest ? [changed, ...messages] : undefined;
}

/** The chats, that with the newest message first, with one that changed. */
export function withChat(chats: Chat[], changed: Chat): Chat[] {
  const at = chats.findIndex((chat) => chat.chatId === changed.chatId);
  const same = at >= 0 && chats[at]?.lastMessageAt === changed.lastMessageAt;
  return same ? chats.with(at, changed) : [changed, ...chats.filter((chat) => chat.chatId !== changed.chatId)];
}
