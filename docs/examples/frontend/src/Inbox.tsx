// The inbox: the chats on one side, the chosen conversation on the other.

import { useState, type ReactNode } from "react";
import { Conversation } from "./Conversation.tsx";
import { useChats, useSettled } from "dmrelay-client/react";
import { ProblemNote } from "./ProblemNote.tsx";
import type { Chat, Message, Query } from "dmrelay-client";

type Folder = NonNullable<Query<"/chats">["folder"]>;

const FOLDERS: Record<Folder, string> = {
  needs_human: "Needs a person",
  unanswered: "Unanswered",
  failed: "Failed",
  window_closing: "Window closes soon",
  snoozed: "Snoozed",
};

export function Inbox({ connectionId }: { connectionId?: string }): ReactNode {
  const [search, setSearch] = useState("");
  const [folder, setFolder] = useState<Folder | "">("");
  const [chosen, setChosen] = useState<string>();
  const q = useSettled(search.trim(), 300);

  const chats = useChats({ connectionId, q: q || undefined, folder: folder || undefined });

  return (
    <div style={{ display: "grid", gridTemplateColumns: "20rem 1fr", gap: "1rem" }}>
      <nav aria-label="Chats">
        <input type="search" value={search} onChange={(event) => setSearch(event.target.value)} placeholder="Name or user id" />
        <select value={folder} onChange={(event) => setFolder(event.target.value as Folder | "")}>
          <option value="">All</option>
          {Object.entries(FOLDERS).map(([word, name]) => <option key={word} value={word}>{name}</option>)}
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
      <strong>{nameOf(chat)}</strong> {chat.unreadCount > 0 && <b aria-label="unread">{chat.unreadCount}</b>}
      {chat.mode !== "bot" && <em>{chat.mode}</em>} {chat.needsHuman.needed && <mark>{chat.needsHuman.reason}</mark>}
      <p>{previewOf(chat.lastMessage)}</p>
      {chat.lastMessageAt && <time dateTime={chat.lastMessageAt}> {new Date(chat.lastMessageAt).toLocaleString()}</time>}
    </>
  );
}

/** The last message on one line; of media, its kind. */
export function previewOf(message: Message | null): string {
  if (message === null) return "";
  const by = message.direction === "inbound" ? "" : `${message.sentBy ?? message.actor ?? message.author}: `;
  return by + (message.text ?? `[${message.kind}]`);
}

/** Profiles are optional at Meta; the id always exists. */
export function nameOf(chat: Chat): string {
  return chat.name ?? chat.username ?? chat.instagramUserId;
}
