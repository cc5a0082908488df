// One conversation: its chat, its messages page by page, and who answers, kept live.

import { useCallback, useState } from "react";
import { useDmrelay, useRefresh } from "./Dmrelay.tsx";
import type { Chat, Message } from "./types.ts";
import { usePages, type Load, type Pages } from "./usePages.ts";

export interface Thread {
  /** Undefined until it is loaded. */
  chat: Chat | undefined;
  /** Newest first. */
  messages: Pages<Message>;
  /** Whether the agent is being asked now. */
  thinking: boolean;
  takeOver: (hours?: number) => void;
  release: () => void;
  /** What went wrong with the last takeover or release. */
  error: unknown;
}

/** A conversation. Whoever has it before their eyes has read it. */
export function useThread(chatId: string): Thread {
  const { client } = useDmrelay();
  const [chat, setChat] = useState<Chat>();
  const [thinking, setThinking] = useState(false);
  const [error, setError] = useState<unknown>();

  const load = useCallback<Load<Message>>(async (cursor, signal) => {
    const detail = await client.chat(chatId, { cursor }, signal);
    setChat(detail.chat.unreadCount > 0 ? await client.markRead(chatId) : detail.chat);
    return detail.messages;
  }, [client, chatId]);
  const messages = usePages(load, (message) => message.messageId);
  useRefresh(messages.refresh, (event) => {
    if (event.chatId !== chatId) return false;
    if (event.type === "turn.started" || event.type === "turn.ended") setThinking(event.type === "turn.started");
    return event.type !== "turn.started";
  });

  const change = useCallback((call: Promise<Chat>): void => {
    setError(undefined);
    call.then(setChat, setError);
  }, []);
  const takeOver = useCallback((hours?: number) => change(client.takeOver(chatId, hours)), [change, client, chatId]);
  const release = useCallback(() => change(client.release(chatId)), [change, client, chatId]);
  return { chat, messages, thinking, takeOver, release, error };
}
