// One conversation: its chat, its messages page by page, and who answers, kept live.

import { useCallback, useEffect, useRef, useState } from "react";
import { useDmrelay, useRefresh } from "./Dmrelay.tsx";
import { readUpTo, withMessage } from "./merge.ts";
import type { Chat, LiveEvent, Message } from "./types.ts";
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

/** Events that change more messages than the one they carry. */
const OF_SEVERAL: LiveEvent["type"][] = ["turn.ended", "chat.mode", "dead_letter.opened", "dead_letter.closed"];

/** A conversation. Whoever has it before their eyes has read it. */
export function useThread(chatId: string): Thread {
  const { client } = useDmrelay();
  const [state, setState] = useState<{ chatId: string; chat?: Chat; thinking?: boolean; error?: unknown }>({ chatId });
  // Counts what has become known of the chat: an answer that was asked for before is old.
  const known = useRef(0);
  const shown = useRef(chatId);
  useEffect(() => {
    shown.current = chatId;
    setState((old) => (old.chatId === chatId ? old : { chatId }));
  }, [chatId]);

  const put = useCallback((some: { chat?: Chat; thinking?: boolean; error?: unknown }): void => {
    if (shown.current === chatId) setState((old) => ({ ...(old.chatId === chatId ? old : {}), ...some, chatId }));
  }, [chatId]);

  /** Shows the chat that a call gives, unless an event was faster. */
  const putAnswer = useCallback((call: Promise<Chat>, onError?: (error: unknown) => void): void => {
    const asked = known.current;
    call.then((chat) => asked === known.current && put({ chat }), onError ?? (() => undefined));
  }, [put]);

  const markRead = useCallback((chat: Chat): void => {
    // Nobody has read what is in a hidden page. On failure the count stays.
    if (chat.unreadCount > 0 && document.visibilityState === "visible") putAnswer(client.markRead(chat.chatId));
  }, [client, putAnswer]);

  const load = useCallback<Load<Message>>(async (cursor, signal) => {
    const asked = known.current;
    const detail = await client.chat(chatId, { cursor }, signal);
    if (asked === known.current && !signal.aborted) put({ chat: detail.chat });
    markRead(detail.chat);
    return detail.messages;
  }, [client, chatId, put, markRead]);
  const messages = usePages(load, (message) => message.messageId);

  useRefresh(messages.refresh, (event) => {
    if (event.chatId !== chatId) return false;
    const { type, chat, message } = event;
    if (type === "turn.started" || type === "turn.ended") put({ thinking: type === "turn.started" });
    if (chat != null) {
      known.current++;
      put({ chat });
      if (message?.direction === "inbound") markRead(chat);
    }
    const isShown = message == null || messages.change((items) => {
      const changed = withMessage(items, message);
      return type === "message.read" ? changed && readUpTo(changed, message) : changed;
    });
    // What the event does not tell is fetched, as an event of a later version.
    return !isShown || OF_SEVERAL.includes(type) || (chat == null && message == null && type !== "turn.started");
  });

  const change = useCallback((call: Promise<Chat>): void => {
    put({ error: undefined });
    putAnswer(call, (error) => put({ error }));
  }, [put, putAnswer]);
  const takeOver = useCallback(
    (lasts?: number | "untilReleased") => change(client.takeOver(chatId, lasts)), [change, client, chatId],
  );
  const release = useCallback(() => change(client.release(chatId)), [change, client, chatId]);
  const { chat, thinking = false, error } = state.chatId === chatId ? state : {};
  return { chat, messages, thinking, takeOver, release, error };
}
