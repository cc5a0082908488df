// A client of dmrelay's REST API and its live events, for browsers and Node.js.

export { Client, newKey, type ClientOptions } from "./client.ts";
export { follow, type FollowOptions, type StreamState } from "./events.ts";
export type { SubaccountOptions } from "./caller.ts";
export { Subaccount } from "./subaccount.ts";
export { ProblemError, type ForeignProblem, type Problem, type ProblemDocument } from "./problem.ts";
export type { TokenSource, TransportOptions } from "./transport.ts";
export type * from "./types.ts";
