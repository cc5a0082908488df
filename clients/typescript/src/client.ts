// The calls of one agent's Instagram API, with the types of the OpenAPI document.

import type { AgentMethod, AgentOperation, AgentPath, AnyOptions, Given, Returned } from "./calls.ts";
import { Caller, type SubaccountOptions } from "./caller.ts";
import { Subaccount } from "./subaccount.ts";
import type {
  Activity, Answer, Body, Change, Chat, ChatDetail, ChatNote, Connection, ConnectSession, DeadLetter, Made, Message, Page, Query,
} from "./types.ts";

export interface ClientOptions extends SubaccountOptions {
  agentId: string;
}

/** An Idempotency-Key. Create one per user action, not per attempt. */
export function newKey(): string {
  return crypto.randomUUID();
}

export class Client extends Caller {
  /** The calls of the agent's subaccount. */
  readonly subaccount: Subaccount;

  constructor(options: ClientOptions) {
    super(options, `/chat-agents/${encodeURIComponent(options.agentId)}/instagram`);
    this.subaccount = new Subaccount(options);
  }

  /** Any call, by the method and path of the OpenAPI document. */
  call<P extends AgentPath, M extends AgentMethod<P>>(
    method: M, path: P, ...[options]: Given<P, AgentOperation<P, M>>
  ): Promise<Returned<AgentOperation<P, M>>> {
    return this.request(method, path, options as AnyOptions | undefined);
  }

  // region: connections
  /** A link with which a person connects an account by logging in at Meta. */
  beginConnect(body: Body<"/connect-sessions">): Promise<Made<"/connect-sessions">> {
    return this.call("POST", "/connect-sessions", { body });
  }

  connectSession(sessionId: string, signal?: AbortSignal): Promise<ConnectSession> {
    return this.call("GET", "/connect-sessions/{sessionId}", { path: { sessionId }, signal });
  }

  choosePage(sessionId: string, pageId: string): Promise<ConnectSession> {
    return this.call("POST", "/connect-sessions/{sessionId}/page", { path: { sessionId }, body: { pageId } });
  }

  /** With a token that the person pastes. */
  connect(body: Body<"/connect">): Promise<Made<"/connect">> {
    return this.call("POST", "/connect", { body });
  }

  status(query: Query<"/status"> = {}, signal?: AbortSignal): Promise<Answer<"/status">> {
    return this.call("GET", "/status", { query, signal });
  }

  disconnect(connectionId?: string): Promise<Connection> {
    return this.call("POST", "/disconnect", { body: { connectionId } });
  }

  /** Of the whole subaccount, including disconnected ones; a single page. */
  connections(signal?: AbortSignal): Promise<Page<Connection>> {
    return this.call("GET", "/connections", { signal });
  }

  /** Changes the given settings; null resets one to its default. */
  changeSettings(body: Change<"/settings">): Promise<Connection> {
    return this.call("PATCH", "/settings", { body });
  }
  // endregion

  // region: inbox
  chats(query: Query<"/chats"> = {}, signal?: AbortSignal): Promise<Page<Chat>> {
    return this.call("GET", "/chats", { query, signal });
  }

  chat(chatId: string, query: Query<"/chats/{chatId}"> = {}, signal?: AbortSignal): Promise<ChatDetail> {
    return this.call("GET", "/chats/{chatId}", { path: { chatId }, query, signal });
  }

  /** Assigns, tags or snoozes a chat; what is omitted stays, null removes. */
  changeChat(chatId: string, body: Change<"/chats/{chatId}">): Promise<Chat> {
    return this.call("PATCH", "/chats/{chatId}", { path: { chatId }, body });
  }

  /** Marks all that is in the chat as read by whoever the key or token belongs to. */
  markRead(chatId: string): Promise<Chat> {
    return this.call("POST", "/chats/{chatId}/read", { path: { chatId } });
  }

  notes(chatId: string, query: Query<"/chats/{chatId}/notes"> = {}, signal?: AbortSignal): Promise<Page<ChatNote>> {
    return this.call("GET", "/chats/{chatId}/notes", { path: { chatId }, query, signal });
  }

  addNote(chatId: string, text: string): Promise<ChatNote> {
    return this.call("POST", "/chats/{chatId}/notes", { path: { chatId }, body: { text } });
  }

  deleteNote(chatId: string, noteId: string): Promise<void> {
    return this.call("DELETE", "/chats/{chatId}/notes/{noteId}", { path: { chatId, noteId } });
  }

  messages(query: Query<"/messages"> = {}, signal?: AbortSignal): Promise<Page<Message>> {
    return this.call("GET", "/messages", { query, signal });
  }

  message(messageId: string, signal?: AbortSignal): Promise<Message> {
    return this.call("GET", "/messages/{messageId}", { path: { messageId }, signal });
  }

  /** For so many hours, as long as the settings say, or until `release`. */
  takeOver(chatId: string, lasts?: number | "untilReleased"): Promise<Chat> {
    const body = lasts === "untilReleased" ? { untilReleased: true } : { hours: lasts };
    return this.call("POST", "/chats/{chatId}/takeover", { path: { chatId }, body });
  }

  release(chatId: string): Promise<Chat> {
    return this.call("POST", "/chats/{chatId}/release", { path: { chatId } });
  }

  /** With the same key the message is sent once, however often this is called. */
  send(body: Body<"/send">, key: string): Promise<Made<"/send">> {
    return this.call("POST", "/send", { body, key });
  }

  /** Reacts to a message of the customer: an emoji, or a word of Meta's; null takes the reaction back. */
  react(messageId: string, reaction: string | null): Promise<Message> {
    const path = { messageId };
    if (reaction === null) return this.call("DELETE", "/messages/{messageId}/reaction", { path });
    return this.call("POST", "/messages/{messageId}/reaction", { path, body: { reaction } });
  }
  // endregion

  // region: media
  /** A file for messages: its `attachmentId` goes into any number of them. */
  upload(file: Blob, query: { connectionId?: string } = {}): Promise<Made<"/media">> {
    return this.request("POST", "/media", { file, query });
  }

  /** Where a file of a customer can be shown without a token, for a while: for `<img>`, `<video>` and `<audio>`. */
  mediaLink(mediaId: string, signal?: AbortSignal): Promise<Answer<"/media/{mediaId}/link">> {
    return this.call("GET", "/media/{mediaId}/link", { path: { mediaId }, signal });
  }
  // endregion

  // region: operations
  activities(query: Query<"/activities"> = {}, signal?: AbortSignal): Promise<Page<Activity>> {
    return this.call("GET", "/activities", { query, signal });
  }

  deadLetters(query: Query<"/dead-letters"> = {}, signal?: AbortSignal): Promise<Page<DeadLetter>> {
    return this.call("GET", "/dead-letters", { query, signal });
  }

  replay(body: Body<"/dead-letters/replay">, key: string): Promise<Made<"/dead-letters/replay">> {
    return this.call("POST", "/dead-letters/replay", { body, key });
  }

  discard(deadLetterId: string): Promise<DeadLetter> {
    return this.call("POST", "/dead-letters/{deadLetterId}/discard", { path: { deadLetterId } });
  }
  // endregion
}
