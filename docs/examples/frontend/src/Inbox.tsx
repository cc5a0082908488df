// The inbox: the chats on one side, the chosen conversation on the other.

import { useCallback, useState, type ReactNode } from "react";
import { Conversation } from "./Conversation.tsx";
import { useDmrelay, useRefresh } from "./Dmrelay.tsx";
import { ProblemNote } from "./ProblemNote.tsx";
import type { Chat } from "./types.ts";
import { usePages, type Load } from "./usePages.ts";
import { useSettled } from "./useSettled.ts";

type Mode = Chat["mode"];

export function Inbox({ connectionId }: { connectionId?: string }): ReactNode {
  const { client } = useDmrelay();
  const [search, setSearch] = useState("");
  const [mode, setMode] = useState<Mode | "">("");
  const [chosen, setChosen] = useState<string>();
  const q = useSettled(search.trim(), 300);

  const load = useCallback<Load<Chat>>(
    (cursor, signal) => client.chats({ connectionId, q: q || undefined, mode: mode || undefined, cursor }, signal),
    [client, connectionId, q, mode],
  );
  const chats = usePages(load, (chat) => chat.chatId);
  // Every event of a chat moves it to the top or changes who answers.
  useRefresh(chats.refresh, (event) => event.chatId != null);

  return (
    <div style={{ display: "grid", gridTemplateColumns: "20rem 1fr", gap: "1rem" }}>
      <nav aria-label="Chats">
        <input type="search" value={search} onChange={(event) => setSearch(event.target.value)} placeholder="Name or user id" />
        <select value={mode} onChange={(event) => setMode(event.target.value as Mode | "")}>
          <option value="">All</option>
          <option value="bot">Answered by the bot</option>
          <option value="human">Taken over</option>
          <option value="paused">Paused</option>
        </select>
        <ProblemNote error={chats.error} />
        <ul>
          {chats.items.map((chat) => (
            <li key={chat.chatId}>
              <button aria-current={chat.chatId === chosen} onClick={() => setChosen(chat.chatId)}>
                <ChatLine chat={chat} />
              </button>
            </li>
          ))}
        </ul>
        {chats.hasMore && <button disabled={chats.loading} onClick={chats.loadMore}>Older chats</button>}
      </nav>
      {chosen === undefined ? <p>Choose a chat.</p> : <Conversation key={chosen} chatId={chosen} />}
    </div>
  );
}

function ChatLine({ chat }: { chat: Chat }): ReactNode {
  return (
    <>
      <strong>{nameOf(chat)}</strong> {chat.mode !== "bot" && <em>{chat.mode}</em>}
      {chat.flag && <mark>{chat.flag}</mark>}
      {chat.lastMessageAt && <time dateTime={chat.lastMessageAt}> {new Date(chat.lastMessageAt).toLocaleString()}</time>}
    </>
  );
}

/** Profiles are optional at Meta; the id always exists. */
export function nameOf(chat: Chat): string {
  return chat.name ?? chat.username ?? chat.instagramUserId;
}
