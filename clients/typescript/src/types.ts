// Names for what the OpenAPI document describes. api.ts is generated from it: npm run types.

import type { components, paths } from "./api.ts";

type Schemas = components["schemas"];

export type Connection = Schemas["Connection"];
/** An account being connected by a person who logs in at Meta. */
export type ConnectSession = Schemas["ConnectSession"];
export type Chat = Schemas["Chat"];
export type Message = Schemas["Message"];
export type ChatDetail = Omit<Schemas["ChatDetail"], "messages"> & { messages: Page<Message> };
export type Activity = Schemas["Activity"];
export type DeadLetter = Schemas["DeadLetter"];
/** A live event: ids, no text. Fetch the objects. */
export type LiveEvent = Schemas["LiveEvent"];

/** A page of a list. */
export interface Page<T> {
  items: T[];
  total: number;
  totalIsExact: boolean;
  limit: number;
  skip: number;
  /** The cursor of the next page; null on the last one. */
  nextCursor: string | null;
}

type Base = "/api/database/{subaccountId}/chat-agents/{agentId}/instagram";
type At<Call extends string> = paths[Extract<`${Base}${Call}`, keyof paths>];

type QueryIn<Operation> = Operation extends { parameters: { query?: infer Query } } ? NonNullable<Query> : never;
type BodyIn<Operation> = Operation extends { requestBody?: infer Request }
  ? NonNullable<Request> extends { content: { "application/json": infer Body } }
    ? Body
    : never
  : never;
type JsonOut<Operation, Status extends number> = Operation extends {
  responses: Record<Status, { content: { "application/json": infer Body } }>;
}
  ? Body
  : never;

/** The query of a list, e.g. `Query<"/chats">`. */
export type Query<Call extends string> = At<Call> extends { get: infer Operation } ? QueryIn<Operation> : never;
/** The body of a POST, e.g. `Body<"/send">`. */
export type Body<Call extends string> = At<Call> extends { post: infer Operation } ? BodyIn<Operation> : never;
/** The response of a GET. */
export type Answer<Call extends string> = At<Call> extends { get: infer Operation } ? JsonOut<Operation, 200> : never;
/** The response of a POST. */
export type Made<Call extends string, Status extends number> = At<Call> extends { post: infer Operation }
  ? JsonOut<Operation, Status>
  : never;
/** The body of PATCH /settings. */
export type SettingsChange = At<"/settings"> extends { patch: infer Operation } ? BodyIn<Operation> : never;
