// An error, in words for people.

import type { ReactNode } from "react";
import { ProblemError } from "./problem.ts";

/** Words of ours for the problems that people meet; for all others the API's own. */
const WORDS: Record<string, string> = {
  "rate-limited": "Too many calls at once. Please wait a moment.",
  "window-closed": "Meta's 24 hours since the customer's last message are over. They must write first.",
  "token-rejected": "Meta rejected the access token. Make a new one and connect again.",
  "graph-unavailable": "Meta cannot be reached now. Please try again later.",
  forbidden: "You may not do this here.",
};

export function ProblemNote({ error }: { error: unknown }): ReactNode {
  if (error === undefined || error === null) return null;
  return <p role="alert">{inWords(error)}</p>;
}

export function inWords(error: unknown): string {
  if (error instanceof ProblemError) return WORDS[error.word] ?? error.message;
  // fetch tells no more than this: no network, or an origin that CORS_ORIGINS does not name.
  return error instanceof TypeError ? "The server cannot be reached." : String(error);
}
