// What the calls of an agent and of a subaccount have in common.

import { callOf, type AnyOptions } from "./calls.ts";
import { request, type TokenSource, type TransportOptions } from "./transport.ts";

export interface SubaccountOptions extends TransportOptions {
  /** The API's base URL, e.g. `https://relay.example.com`. */
  baseUrl: string;
  subaccountId: string;
}

/** Makes the calls below one path of the API. */
export class Caller {
  readonly #options: SubaccountOptions;
  readonly #base: string;

  /** `path` is the one below the subaccount's, already encoded. */
  constructor(options: SubaccountOptions, path = "") {
    this.#options = options;
    const host = options.baseUrl.replace(/\/+$/, "");
    this.#base = `${host}/api/database/${encodeURIComponent(options.subaccountId)}${path}`;
  }

  /** The URL of the live events; see events.ts. With `?include=message,chat` they carry both. */
  get eventsUrl(): string {
    return `${this.#base}/events`;
  }

  get token(): TokenSource {
    return this.#options.token;
  }

  protected async request<T>(method: string, path: string, options: AnyOptions | undefined): Promise<T> {
    // The types are those of the OpenAPI document, which is generated from the server's handlers.
    return (await request(this.#options, callOf(this.#base, method, path, options))) as T;
  }
}
