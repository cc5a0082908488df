// How the parts fit together. `signIn` stands for your own sign-in: it returns the token of a session or a JWT, never an API key.

import { useMemo, type ReactNode } from "react";
import { Activities } from "./Activities.tsx";
import { Client } from "./client.ts";
import { ConnectionPanel } from "./ConnectionPanel.tsx";
import { DeadLetters } from "./DeadLetters.tsx";
import { Dmrelay } from "./Dmrelay.tsx";
import { Inbox } from "./Inbox.tsx";
import { SettingsForm } from "./SettingsForm.tsx";
import type { TokenSource } from "./transport.ts";

interface Props {
  baseUrl: string;
  subaccountId: string;
  agentId: string;
  /** Must be the same function on each render. */
  signIn: TokenSource;
}

export function App({ baseUrl, subaccountId, agentId, signIn }: Props): ReactNode {
  const client = useMemo(
    () => new Client({ baseUrl, subaccountId, agentId, token: signIn }),
    [baseUrl, subaccountId, agentId, signIn],
  );
  return (
    <Dmrelay client={client}>
      <ConnectionPanel />
      <Inbox />
      <SettingsForm />
      <Activities />
      <DeadLetters />
    </Dmrelay>
  );
}
