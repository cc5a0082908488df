// Connects an Instagram account by a click: the person logs in at Meta, and comes back to this page.

import { useEffect, useState, type ReactNode } from "react";
import { useDmrelay } from "dmrelay-client/react";
import { ProblemNote } from "./ProblemNote.tsx";
import type { ConnectSession } from "dmrelay-client";

/** What the API adds to the address of this page. */
const PARAMETERS = ["connectSession", "connectStatus", "connectError"];

export function ConnectButton({ account, onConnected }: { account?: string; onConnected?: () => void }): ReactNode {
  const { client } = useDmrelay();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [session, setSession] = useState<ConnectSession>();

  const run = (call: Promise<void>): void => {
    setBusy(true);
    setError(undefined);
    call.catch(setError).finally(() => setBusy(false));
  };

  const show = (session: ConnectSession): void => {
    setSession(session);
    if (session.status === "connected") onConnected?.();
  };

  useEffect(() => {
    const { id, rest } = comeBack(location.href);
    if (id === undefined) return;
    // The session is over: loading the page again must not show it again.
    history.replaceState(history.state, "", rest);
    run(client.connectSession(id).then(show));
  }, [client]);

  const begin = async (): Promise<void> => {
    const returnUrl = comeBack(location.href).rest;
    const { url } = await client.beginConnect({ returnUrl, pageChoice: "frontend", instagramAccountId: account });
    location.assign(url);
  };

  if (session?.status === "choose_page") {
    const choose = (pageId: string): void => run(client.choosePage(session.sessionId, pageId).then(show));
    return <PageList session={session} busy={busy} error={error} onChoose={choose} />;
  }
  return (
    <section>
      {session && <Outcome session={session} />}
      {session?.status !== "connected" && (
        <button disabled={busy} onClick={() => run(begin())}>
          {account ? "Log in again" : "Connect an Instagram account"}
        </button>
      )}
      <ProblemNote error={error} />
    </section>
  );
}

/** The session with which somebody comes back to this address, and the address without it. */
export function comeBack(href: string): { id: string | undefined; rest: string } {
  const url = new URL(href);
  const id = url.searchParams.get("connectSession") ?? undefined;
  for (const name of PARAMETERS) url.searchParams.delete(name);
  return { id, rest: url.href };
}

interface Choice {
  session: ConnectSession;
  busy: boolean;
  error: unknown;
  onChoose: (pageId: string) => void;
}

/** With Facebook Login an account belongs to a Page, and a person may have several. */
export function PageList({ session, busy, error, onChoose }: Choice): ReactNode {
  return (
    <section>
      <h2>Which Page is it?</h2>
      {session.pages.map((page) => (
        <button key={page.pageId} disabled={busy} onClick={() => onChoose(page.pageId)}>
          {page.name ?? page.pageId} {page.username && `(@${page.username})`}
        </button>
      ))}
      <ProblemNote error={error} />
    </section>
  );
}

/** Our own messages for what people can mend themselves; the API's for the rest. */
const WORDS: Record<string, string> = {
  "missing-permission": "Something was not allowed. Log in once more and leave everything ticked.",
  "no-instagram-account": "No Instagram professional account was found. Switch the account to a business or creator account.",
  "account-in-use": "This account is connected elsewhere. Disconnect it there first.",
  "wrong-account": "That was another account. Log out at Meta and log in with the right one.",
  "graph-unavailable": "Meta is unreachable. Please try again later.",
};

export function Outcome({ session }: { session: ConnectSession }): ReactNode {
  switch (session.status) {
    case "connected":
      return <p role="status">The account is connected.</p>;
    case "failed":
      return <p role="alert">{WORDS[session.error ?? ""] ?? session.errorDetail ?? "That did not work."}</p>;
    case "expired":
      return <p role="alert">That took too long. Please try again.</p>;
    default:
      return null;
  }
}
