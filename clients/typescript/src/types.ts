// Names for what the OpenAPI document describes. api.ts is generated from it: npm run types.

import type { components } from "./api.ts";

type Schemas = components["schemas"];

export type Connection = Schemas["Connection"];
/** An account being connected by a person who logs in at Meta. */
export type ConnectSession = Schemas["ConnectSession"];
export type Chat = Schemas["Chat"];
export type Message = Schemas["Message"];
/** An attachment of a message, as Meta describes it. */
export type Attachment = Schemas["Attachment"];
export type ChatDetail = Omit<Schemas["ChatDetail"], "messages"> & { messages: Page<Message> };
export type ChatNote = Schemas["ChatNote"];
export type Activity = Schemas["Activity"];
export type DeadLetter = Schemas["DeadLetter"];
export type Template = Schemas["Template"];
/** A live event, with the message and the chat if the stream includes them. */
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

export type {
  AgentMethod, AgentPath, Answer, Body, Change, Made, Query, SubaccountAnswer, SubaccountBody, SubaccountMade, SubaccountMethod,
  SubaccountPath, SubaccountQuery,
} from "./calls.ts";
