// The account: its state, its links, and the switch that silences the bot.

import { useState, type ReactNode } from "react";
import { ConnectButton } from "./ConnectButton.tsx";
import { type Status, useConnection, useDmrelay } from "dmrelay-client/react";
import { ProblemNote } from "./ProblemNote.tsx";
import { QrCode } from "./QrCode.tsx";
import { StatusBadge } from "./StatusBadge.tsx";

export function ConnectionPanel({ connectionId }: { connectionId?: string }): ReactNode {
  const { live } = useDmrelay();
  const { state, reload } = useConnection(connectionId);
  switch (state.kind) {
    case "loading":
      return <p>Loading …</p>;
    case "none":
      return <ConnectButton onConnected={reload} />;
    case "several":
      return <p>This agent has several accounts. List them with client.connections() and pass a connectionId.</p>;
    case "failed":
      return <ProblemNote error={state.error} />;
    case "one":
      return (
        <section>
          {live !== "open" && <p>Live updates are interrupted; the page still polls every 30 seconds.</p>}
          <ProblemNote error={state.error} />
          <Account status={state.status} onChange={reload} />
        </section>
      );
  }
}

function Account({ status, onChange }: { status: Status; onChange: () => void }): ReactNode {
  const { client } = useDmrelay();
  const [error, setError] = useState<unknown>();
  const { connectionId, botPaused, links, queue } = status;
  const run = (call: Promise<unknown>): void => {
    setError(undefined);
    call.then(onChange, setError);
  };
  return (
    <>
      <StatusBadge connection={status} tokenDaysLeft={status.tokenDaysLeft} />
      {status.status === "disconnected" && <ConnectButton onConnected={onChange} />}
      {status.status === "reauth_required" && (
        <ConnectButton account={status.instagramAccountId} onConnected={onChange} />
      )}
      <p>Waiting: {queue.turnsDue} questions to the agent, {queue.chatsSending} chats with messages to send.</p>
      <button onClick={() => run(client.changeSettings({ connectionId, botPaused: !botPaused }))}>
        {botPaused ? "Let the bot answer again" : "Pause the bot for the whole account"}
      </button>
      <button onClick={() => confirm("Disconnect this account?") && run(client.disconnect(connectionId))}>
        Disconnect
      </button>
      <ProblemNote error={error} />
      {links && <QrCode link={links.directMessage} image={links.qrCodes.directMessage} label="Write to us" />}
    </>
  );
}
