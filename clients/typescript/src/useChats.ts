// The chats of an inbox: a folder or a search, page by page, kept live.

import { useCallback } from "react";
import { useDmrelay, useRefresh } from "./Dmrelay.tsx";
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
  // Every event of a chat moves it to the top, or changes who answers.
  useRefresh(chats.refresh, (event) => event.chatId != null);
  return chats;
}
