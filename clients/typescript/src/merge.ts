// What a live event changes in a list that is shown.

import type { Chat, Message } from "./types.ts";

/** The messages, newest first, with one that came or changed; undefined if only the server knows its place. */
export function withMessage(messages: Message[], changed: Message): Message[] | undefined {
  const at = messages.findIndex((message) => message.messageId === changed.messageId);
  if (at >= 0) return messages.with(at, changed);
  const newest = messages[0];
  // Ids are in the order of the list (UUID version 7).
  const isNewest = newest === undefined || changed.messageId > newest.messageId;
  return isNewest ? [changed, ...messages] : undefined;
}

/** The messages, newest first, of which the customer has read all up to this one. */
export function readUpTo(messages: Message[], read: Message): Message[] {
  const isRead = (message: Message): boolean =>
    message.direction === "outbound" && message.status === "sent" && message.readAt === null && message.messageId <= read.messageId;
  return messages.map((message) => (isRead(message) ? { ...message, readAt: read.readAt } : message));
}

/** The chats, that with the newest message first, with one that changed. What is further down than what is loaded stays out. */
export function withChat(chats: Chat[], changed: Chat, hasMore: boolean): Chat[] {
  const isIt = (chat: Chat): boolean => chat.chatId === changed.chatId;
  const known = chats.findIndex(isIt);
  if (known >= 0 && chats[known]?.lastMessageAt === changed.lastMessageAt) return chats.with(known, changed);
  const others = chats.filter((chat) => !isIt(chat));
  const time = (chat: Chat): number => (chat.lastMessageAt === null ? 0 : Date.parse(chat.lastMessageAt));
  const place = others.findIndex((chat) => time(chat) <= time(changed));
  if (place >= 0) return others.toSpliced(place, 0, changed);
  return hasMore ? others : [...others, changed];
}
