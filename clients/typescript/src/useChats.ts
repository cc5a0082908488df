// The chats of an inbox: a folder or a search, page by page, kept live.

import { useCallback } from "react";
import { useDmrelay, useRefresh } from "./Dmrelay.tsx";
import { withChat } from "./merge.ts";
import type { Chat, Query } from "./types.ts";
import { usePages, type Load, type Pages } from "./usePages.ts";

/** The chats that `query` asks for, most recent first. Its values decide, not its identity: it may be a new object each time. */
export function useChats(query: Omit<Query<"/chats">, "cursor" | "skip"> = {}): Pages<Chat> {
  const { client } = useDmrelay();
  const key = JSON.stringify(query);
  const load = useCallback<Load<Chat>>(
    (cursor, signal) => client.chats({ ...(JSON.parse(key) as Query<"/chats">), cursor }, signal),
    [client, key],
  );
  const chats = usePages(load, (chat) => chat.chatId);
  useRefresh(chats.refresh, (event) => {
    if (event.chatId == null) return false;
    const { chat } = event;
    // Whether a chat is in a folder, or is found, only the server knows.
    if (chat == null || !isWhole(query)) return true;
    if (query.connectionId != null && query.connectionId !== chat.connectionId) return false;
    return !chats.change((items, hasMore) => withChat(items, chat, hasMore));
  });
  return chats;
}

/** Whether the query asks for every chat, in the usual order. */
function isWhole(query: object): boolean {
  const asked = Object.entries(query).filter(([, value]) => value != null && value !== "");
  return asked.every(([name]) => name === "connectionId" || name === "limit");
}
