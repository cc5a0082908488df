// The calls of one agent's Instagram API, with the types of the OpenAPI document.

import { request, type Call, type TokenSource, type TransportOptions } from "./transport.ts";
import type {
  Activity, Answer, Body, Chat, ChatDetail, Connection, ConnectSession, DeadLetter, Made, Message, Page, Query,
  SettingsChange,
} from "./types.ts";

export interface ClientOptions extends TransportOptions {
  /** The API's base URL, e.g. `https://relay.example.com`. */
  baseUrl: string;
  subaccountId: string;
  agentId: string;
}

type More = Pick<Call, "answer" | "body" | "key" | "signal"> & { query?: object };

/** An Idempotency-Key. Create one per user action, not per attempt. */
export function newKey(): string {
  return crypto.randomUUID();
}

export class Client {
  readonly #options: ClientOptions;
  readonly #base: string;

  constructor(options: ClientOptions) {
    this.#options = options;
    const host = options.baseUrl.replace(/\/+$/, "");
    const [subaccount, agent] = [options.subaccountId, options.agentId].map(encodeURIComponent);
    this.#base = `${host}/api/database/${subaccount}/chat-agents/${agent}/instagram`;
  }

  // region: connections
  /** A link with which a person connects an account by logging in at Meta. */
  beginConnect(body: Body<"/connect-sessions">): Promise<Made<"/connect-sessions", 201>> {
    return this.#call("POST", "/connect-sessions", { body });
  }

  connectSession(id: string, signal?: AbortSignal): Promise<ConnectSession> {
    return this.#call("GET", `/connect-sessions/${encodeURIComponent(id)}`, { signal });
  }

  choosePage(id: string, pageId: string): Promise<ConnectSession> {
    return this.#call("POST", `/connect-sessions/${encodeURIComponent(id)}/page`, { body: { pageId } });
  }

  /** With a token that the person pastes. */
  connect(body: Body<"/connect">): Promise<Made<"/connect", 201>> {
    return this.#call("POST", "/connect", { body });
  }

  status(query: Query<"/status"> = {}, signal?: AbortSignal): Promise<Answer<"/status">> {
    return this.#call("GET", "/status", { query, signal });
  }

  /** A picture that leads customers to the account. */
  qrCode(query: Query<"/qr-code"> = {}, signal?: AbortSignal): Promise<Blob> {
    return this.#call("GET", "/qr-code", { query, signal, answer: "blob" });
  }

  disconnect(connectionId?: string): Promise<Connection> {
    return this.#call("POST", "/disconnect", { body: { connectionId } });
  }

  /** Of the whole subaccount, including disconnected ones; a single page. */
  connections(signal?: AbortSignal): Promise<Page<Connection>> {
    return this.#call("GET", "/connections", { signal });
  }

  /** Changes the given settings; null resets one to its default. */
  changeSettings(body: SettingsChange): Promise<Connection> {
    return this.#call("PATCH", "/settings", { body });
  }
  // endregion

  // region: inbox
  chats(query: Query<"/chats"> = {}, signal?: AbortSignal): Promise<Page<Chat>> {
    return this.#call("GET", "/chats", { query, signal });
  }

  chat(chatId: string, query: Query<"/chats/{chatId}"> = {}, signal?: AbortSignal): Promise<ChatDetail> {
    return this.#call("GET", `/chats/${encodeURIComponent(chatId)}`, { query, signal });
  }

  /** Marks all that is in the chat as read by whoever the key or token belongs to. */
  markRead(chatId: string): Promise<Chat> {
    return this.#call("POST", `/chats/${encodeURIComponent(chatId)}/read`, {});
  }

  messages(query: Query<"/messages"> = {}, signal?: AbortSignal): Promise<Page<Message>> {
    return this.#call("GET", "/messages", { query, signal });
  }

  /** For so many hours, as long as the settings say, or until `release`. */
  takeOver(chatId: string, lasts?: number | "untilReleased"): Promise<Chat> {
    const body = lasts === "untilReleased" ? { untilReleased: true } : { hours: lasts };
    return this.#call("POST", `/chats/${encodeURIComponent(chatId)}/takeover`, { body });
  }

  release(chatId: string): Promise<Chat> {
    return this.#call("POST", `/chats/${encodeURIComponent(chatId)}/release`, {});
  }

  /** With the same key the message is sent once, however often this is called. */
  send(body: Body<"/send">, key: string): Promise<Made<"/send", 202>> {
    return this.#call("POST", "/send", { body, key });
  }
  // endregion

  // region: operations
  activities(query: Query<"/activities"> = {}, signal?: AbortSignal): Promise<Page<Activity>> {
    return this.#call("GET", "/activities", { query, signal });
  }

  deadLetters(query: Query<"/dead-letters"> = {}, signal?: AbortSignal): Promise<Page<DeadLetter>> {
    return this.#call("GET", "/dead-letters", { query, signal });
  }

  replay(body: Body<"/dead-letters/replay">, key: string): Promise<Made<"/dead-letters/replay", 200>> {
    return this.#call("POST", "/dead-letters/replay", { body, key });
  }

  discard(id: string): Promise<DeadLetter> {
    return this.#call("POST", `/dead-letters/${encodeURIComponent(id)}/discard`, {});
  }
  // endregion

  /** The URL of the live events; see events.ts. */
  get eventsUrl(): string {
    return `${this.#base}/events`;
  }

  get token(): TokenSource {
    return this.#options.token;
  }

  async #call<T>(method: Call["method"], path: string, more: More): Promise<T> {
    const { query, ...rest } = more;
    const call = { method, url: this.#base + path + queryText(query), ...rest };
    // The types are those of the OpenAPI document, which is generated from the server's handlers.
    return (await request(this.#options, call)) as T;
  }
}

/** `?a=1&b=2`, omitting undefined values. */
function queryText(query: object = {}): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, String(value)])).toString();
  return text === "" ? "" : `?${text}`;
}
