// One conversation: its chat, its messages page by page, and who answers, kept live.

import { useCallback, useState } from "react";
import { useDmrelay, useRefresh } from "./Dmrelay.tsx";
import { withMessage } from "./merge.ts";
import type { Chat, Message } from "./types.ts";
import { usePages, type Load, type Pages } from "./usePages.ts";

export interface Thread {
  /** Undefined until it is loaded. */
  chat: Chat | undefined;
  /** Newest first. */
  messages: Pages<Message>;
  /** Whether the agent is being asked now. */
  thinking: boolean;
  /** For so many hours, as long as the settings say, or until it is released. */
  takeOver: (lasts?: number | "untilReleased") => void;
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

  const see = useCallback((seen: Chat): void => {
    setChat(seen);
    // That it could not be marked shows by its count.
    if (seen.unreadCount > 0) client.markRead(seen.chatId).then(setChat, () => undefined);
  }, [client]);

  const load = useCallback<Load<Message>>(async (cursor, signal) => {
    const detail = await client.chat(chatId, { cursor }, signal);
    see(detail.chat);
    return detail.messages;
  }, [client, chatId, see]);
  const messages = usePages(load, (message) => message.messageId);
  useRefresh(messages.refresh, (event) => {
    if (event.chatId !== chatId) return false;
    if (event.type === "turn.started" || event.type === "turn.ended") setThinking(event.type === "turn.started");
    const { chat: changed, message } = event;
    if (changed != null) see(changed);
    if (message != null) messages.change((items) => withMessage(items, message));
    // What the event does not tell is fetched: a conversation that was erased, an event of a later version.
    return changed == null && message == null;
  });

  const change = useCallback((call: Promise<Chat>): void => {
    setError(undefined);
    call.then(setChat, setError);
  }, []);
  const takeOver = useCallback((lasts?: number | "untilReleased") => change(client.takeOver(chatId, lasts)), [change, client, chatId]);
  const release = useCallback(() => change(client.release(chatId)), [change, client, chatId]);
  return { chat, messages, thinking, takeOver, release, error };
}
