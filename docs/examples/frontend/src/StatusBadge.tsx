// The state of a connection as a word and a colour.

import type { ReactNode } from "react";
import type { Connection } from "dmrelay-client";

type Tone = "good" | "busy" | "bad" | "off";

/** What each state means to the user, and what they can do. */
const STATES: Record<Connection["status"], { tone: Tone; text: string; todo?: string }> = {
  pending: { tone: "busy", text: "Being connected" },
  connected: { tone: "good", text: "Connected" },
  reauth_required: { tone: "bad", text: "Access lost", todo: "Create a new access token and connect again." },
  restricted: { tone: "bad", text: "Restricted by Meta", todo: "Check Meta's account status and the app's dashboard." },
  disconnecting: { tone: "busy", text: "Being disconnected" },
  disconnected: { tone: "off", text: "Not connected" },
};

/** Days before expiry at which a token is shown as a problem. It is renewed earlier if Meta allows it. */
const DAYS_LEFT = 7;

interface Props {
  connection: Pick<Connection, "status" | "statusReason" | "botPaused">;
  tokenDaysLeft?: number | null;
}

export function StatusBadge({ connection, tokenDaysLeft }: Props): ReactNode {
  // A later version of the API may have states unknown to this table.
  const state = STATES[connection.status] ?? { tone: "off" as const, text: connection.status };
  const paused = connection.botPaused && connection.status === "connected";
  const expiring = tokenDaysLeft != null && tokenDaysLeft <= DAYS_LEFT;
  return (
    <p>
      <strong data-tone={paused ? "busy" : state.tone}>{paused ? "Bot paused" : state.text}</strong>
      {connection.statusReason && <> ({connection.statusReason})</>}
      {state.todo && <> {state.todo}</>}
      {expiring && <> The access token has {Math.max(0, tokenDaysLeft)} days left.</>}
    </p>
  );
}
