// The types of any call, by its method and path, from the OpenAPI document.

import type { paths } from "./api.ts";
import type { Call } from "./transport.ts";

type Tenant = "/api/database/{subaccountId}";
type Agent = `${Tenant}/chat-agents/{agentId}/instagram`;
type Below<Base extends string, Path> = Path extends `${Base}${infer Rest}` ? Rest : never;

/** The paths of one agent's Instagram API, as the document has them: `/chats/{chatId}`. */
export type AgentPath = Below<Agent, keyof paths>;
/** The paths of a subaccount: `/templates`. */
export type SubaccountPath = Exclude<Below<Tenant, keyof paths>, `/chat-agents/${string}`>;

type Verb = "get" | "post" | "put" | "patch" | "delete";
type At<Base extends string, Path extends string> = paths[Extract<`${Base}${Path}`, keyof paths>];
type VerbOf<Item> = { [V in Verb]: Item extends Record<V, object> ? V : never }[Verb];
type Operation<Item, Method extends string> = Item extends Record<Lowercase<Method>, infer Found> ? Found : never;

/** Whether a call answers with JSON, or with nothing: pictures, files and streams have functions of their own. */
type IsPlain<Op> = Op extends { responses: infer Responses }
  ? [JsonOf<Responses, 200> | JsonOf<Responses, 201> | JsonOf<Responses, 202>] extends [never]
    ? Responses extends { 204: unknown } ? true : false
    : Op extends { requestBody: { content: { "multipart/form-data": unknown } } } ? false : true
  : false;
type PlainVerbOf<Item> = { [V in VerbOf<Item>]: Item extends Record<V, infer Op> ? (IsPlain<Op> extends true ? V : never) : never }[VerbOf<Item>];

type QueryIn<Op> = Op extends { parameters: { query?: infer Query } } ? NonNullable<Query> : never;
type BodyIn<Op> = Op extends { requestBody?: infer Request }
  ? NonNullable<Request> extends { content: { "application/json": infer Body } } ? Body : never
  : never;
type JsonOf<Responses, Status extends number> = Responses extends Record<Status, { content: { "application/json": infer Json } }>
  ? Json
  : never;
type Json<Op> = Op extends { responses: infer Responses }
  ? { [Status in 200 | 201 | 202]: JsonOf<Responses, Status> }[200 | 201 | 202]
  : never;

/** What a path names in braces. */
type Names<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}` ? Name | Names<Rest> : never;

interface Options {
  /** Sent as `Idempotency-Key`: with it a write may be repeated. */
  key?: string;
  signal?: AbortSignal;
}

type OfPath<Path extends string> = [Names<Path>] extends [never] ? unknown : { path: Record<Names<Path>, string> };
type OfQuery<Op> = Op extends { parameters: { query: infer Query } } ? { query: Query } : { query?: QueryIn<Op> };
type OfBody<Op> = Op extends { requestBody: { content: { "application/json": infer Body } } } ? { body: Body } : { body?: BodyIn<Op> };
type AllOf<Path extends string, Op> = OfPath<Path> & OfQuery<Op> & OfBody<Op> & Options;

/** What a call is given: `path` where the path names something, `body` and `query` where the document demands them. */
export type Given<Path extends string, Op> = object extends AllOf<Path, Op> ? [options?: AllOf<Path, Op>] : [options: AllOf<Path, Op>];

/** What a call returns: nothing where the response has no JSON. */
export type Returned<Op> = [Json<Op>] extends [never] ? void : Json<Op>;

export type AgentMethod<Path extends string> = Uppercase<PlainVerbOf<At<Agent, Path>>>;
export type AgentOperation<Path extends string, Method extends string> = Operation<At<Agent, Path>, Method>;
export type SubaccountMethod<Path extends string> = Uppercase<PlainVerbOf<At<Tenant, Path>>>;
export type SubaccountOperation<Path extends string, Method extends string> = Operation<At<Tenant, Path>, Method>;

/** The query of a list, e.g. `Query<"/chats">`. */
export type Query<Path extends string> = QueryIn<Operation<At<Agent, Path>, "GET">>;
/** The body of a POST, e.g. `Body<"/send">`. */
export type Body<Path extends string> = BodyIn<Operation<At<Agent, Path>, "POST">>;
/** The response of a GET. */
export type Answer<Path extends string> = Json<Operation<At<Agent, Path>, "GET">>;
/** The response of a POST. */
export type Made<Path extends string> = Json<Operation<At<Agent, Path>, "POST">>;
/** The body of PATCH. */
export type Change<Path extends string> = BodyIn<Operation<At<Agent, Path>, "PATCH">>;
/** The query of a list of the subaccount, e.g. `SubaccountQuery<"/chats">`. */
export type SubaccountQuery<Path extends string> = QueryIn<Operation<At<Tenant, Path>, "GET">>;
/** The body of a POST of the subaccount. */
export type SubaccountBody<Path extends string> = BodyIn<Operation<At<Tenant, Path>, "POST">>;
/** The response of a GET of the subaccount. */
export type SubaccountAnswer<Path extends string> = Json<Operation<At<Tenant, Path>, "GET">>;
/** The response of a POST of the subaccount. */
export type SubaccountMade<Path extends string> = Json<Operation<At<Tenant, Path>, "POST">>;

/** The options of any call, of whichever path. */
export interface AnyOptions {
  path?: Record<string, string>;
  query?: object;
  body?: unknown;
  file?: Blob;
  key?: string;
  signal?: AbortSignal;
}

/** The call below `base`, with names and query filled in. */
export function callOf(base: string, method: string, path: string, options: AnyOptions = {}): Call {
  const { path: names = {}, query, ...rest } = options;
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? ""));
  return { method: method as Call["method"], url: base + filled + queryText(query), ...rest };
}

/** `?a=1&b=2`, omitting undefined values. */
function queryText(query: object = {}): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const text = new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, String(value)])).toString();
  return text === "" ? "" : `?${text}`;
}
