// The calls of a subaccount: all of its agents together, templates, sessions, keys.

import { callOf, type AnyOptions, type Given, type Returned, type SubaccountMethod, type SubaccountOperation, type SubaccountPath } from "./calls.ts";
import { request, type TokenSource, type TransportOptions } from "./transport.ts";
import type { Chat, Page, SubaccountAnswer, SubaccountBody, SubaccountMade, SubaccountQuery, Template } from "./types.ts";

export interface SubaccountOptions extends TransportOptions {
  /** The API's base URL, e.g. `https://relay.example.com`. */
  baseUrl: string;
  subaccountId: string;
}

export class Subaccount {
  readonly #options: SubaccountOptions;
  readonly #base: string;

  constructor(options: SubaccountOptions) {
    this.#options = options;
    this.#base = `${options.baseUrl.replace(/\/+$/, "")}/api/database/${encodeURIComponent(options.subaccountId)}`;
  }

  /** Any call, by the method and path of the OpenAPI document. */
  async call<P extends SubaccountPath, M extends SubaccountMethod<P>>(
    method: M, path: P, ...[options]: Given<P, SubaccountOperation<P, M>>
  ): Promise<Returned<SubaccountOperation<P, M>>> {
    // The types are those of the OpenAPI document, which is generated from the server's handlers.
    return (await request(this.#options, callOf(this.#base, method, path, options as AnyOptions | undefined))) as Returned<SubaccountOperation<P, M>>;
  }

  // region: subaccount
  /** Who the key or token belongs to, and what they may do. */
  me(signal?: AbortSignal): Promise<SubaccountAnswer<"/me">> {
    return this.call("GET", "/me", { signal });
  }

  /** The chats of all agents. */
  chats(query: SubaccountQuery<"/chats"> = {}, signal?: AbortSignal): Promise<Page<Chat>> {
    return this.call("GET", "/chats", { query, signal });
  }

  overview(query: SubaccountQuery<"/overview"> = {}, signal?: AbortSignal): Promise<SubaccountAnswer<"/overview">> {
    return this.call("GET", "/overview", { query, signal });
  }

  templates(signal?: AbortSignal): Promise<Page<Template>> {
    return this.call("GET", "/templates", { signal });
  }

  saveTemplate(body: SubaccountBody<"/templates">, templateId?: string): Promise<Template> {
    if (templateId === undefined) return this.call("POST", "/templates", { body });
    return this.call("PUT", "/templates/{templateId}", { path: { templateId }, body });
  }

  /** A token for one person, whom your backend knows. Only for backends: it takes an API key. */
  createSession(body: SubaccountBody<"/sessions">): Promise<SubaccountMade<"/sessions">> {
    return this.call("POST", "/sessions", { body });
  }
  // endregion

  /** The URL of the live events of all agents; see events.ts. */
  get eventsUrl(): string {
    return `${this.#base}/events`;
  }

  get token(): TokenSource {
    return this.#options.token;
  }
}
