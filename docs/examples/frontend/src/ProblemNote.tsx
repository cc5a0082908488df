// An error as a readable message.

import type { ReactNode } from "react";
import { ProblemError } from "dmrelay-client";

/** Our own messages for common problems; the API's for all others. */
const WORDS: Record<string, string> = {
  "rate-limited": "Too many requests. Please wait a moment.",
  "window-closed": "Meta's 24 hours since the customer's last message are over. They must write first.",
  "token-rejected": "Meta rejected the access token. Create a new one and connect again.",
  "graph-unavailable": "Meta is unreachable. Please try again later.",
  forbidden: "You do not have permission to do this.",
};

export function ProblemNote({ error }: { error: unknown }): ReactNode {
  if (error === undefined || error === null) return null;
  return <p role="alert">{inWords(error)}</p>;
}

export function inWords(error: unknown): string {
  if (error instanceof ProblemError) return WORDS[error.word] ?? error.message;
  // fetch reveals no more: there is no network, or the origin is not in CORS_ORIGINS.
  return error instanceof TypeError ? "The server cannot be reached." : String(error);
}
