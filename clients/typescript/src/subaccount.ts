// The calls of a subaccount: all of its agents together, templates, sessions, keys.

import type { AnyOptions, Given, Returned, SubaccountMethod, SubaccountOperation, SubaccountPath } from "./calls.ts";
import { Caller } from "./caller.ts";
import type { Chat, Page, SubaccountAnswer, SubaccountBody, SubaccountMade, SubaccountQuery, Template } from "./types.ts";

export class Subaccount extends Caller {
  /** Any call, by the method and path of the OpenAPI document. */
  call<P extends SubaccountPath, M extends SubaccountMethod<P>>(
    method: M, path: P, ...[options]: Given<P, SubaccountOperation<P, M>>
  ): Promise<Returned<SubaccountOperation<P, M>>> {
    return this.request(method, path, options as AnyOptions | undefined);
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

  /** A token for one person your backend has signed in. Only for backends: it takes an API key. */
  createSession(body: SubaccountBody<"/sessions">): Promise<SubaccountMade<"/sessions">> {
    return this.call("POST", "/sessions", { body });
  }
  // endregion
}
