// How the parts fit together. `signIn` stands for your own sign-in: it returns the token of a session or a JWT, never an API key.

import { useMemo, type ReactNode } from "react";
import { Activities } from "./Activities.tsx";
import { Client, type TokenSource } from "dmrelay-client";
import { ConnectionPanel } from "./ConnectionPanel.tsx";
import { DeadLetters } from "./DeadLetters.tsx";
import { Dmrelay } from "dmrelay-client/react";
import { Inbox } from "./Inbox.tsx";
import { SettingsForm } from "./SettingsForm.tsx";

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
