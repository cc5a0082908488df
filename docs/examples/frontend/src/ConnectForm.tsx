// Connects an Instagram account. The token is sent to the API over HTTPS and not stored here.

import { useState, type FormEvent, type ReactNode } from "react";
import { useDmrelay } from "dmrelay-client/react";
import { type Made, ProblemError } from "dmrelay-client";
import { ProblemNote } from "./ProblemNote.tsx";
import { QrCode } from "./QrCode.tsx";

type Connected = Made<"/connect">;

const FIELDS = [
  { name: "accessToken", label: "Access token", type: "password", required: true },
  { name: "instagramAccountId", label: "Instagram account id (1784…)", type: "text", required: true },
  { name: "webhookVerificationToken", label: "Verify token, as in Meta's dashboard", type: "password", required: true },
  { name: "pageId", label: "Facebook Page id (Facebook Login only)", type: "text", required: false },
  { name: "appSecret", label: "App secret (only with a Meta app of its own)", type: "password", required: false },
] as const;

export function ConnectForm({ onConnected }: { onConnected?: () => void }): ReactNode {
  const { client } = useDmrelay();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const [connected, setConnected] = useState<Connected>();

  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const value = (name: string): string => String(form.get(name) ?? "").trim();
    setBusy(true);
    setError(undefined);
    try {
      const made = await client.connect({
        accessToken: value("accessToken"),
        instagramAccountId: value("instagramAccountId"),
        webhookVerificationToken: value("webhookVerificationToken"),
        pageId: value("pageId") || undefined,
        appSecret: value("appSecret") || undefined,
      });
      setConnected(made);
      onConnected?.();
    } catch (cause) {
      setError(cause);
    } finally {
      setBusy(false);
    }
  };

  if (connected) return <Done connected={connected} />;
  const problem = error instanceof ProblemError ? error : undefined;
  return (
    <form onSubmit={(event) => void submit(event)} autoComplete="off">
      {FIELDS.map(({ name, label, type, required }) => {
        const wrong = problem?.at(`/${name}`);
        return (
          <label key={name}>
            {label}
            <input name={name} type={type} required={required} aria-invalid={wrong !== undefined} />
            {wrong && <small role="alert">{wrong}</small>}
          </label>
        );
      })}
      <button disabled={busy}>{busy ? "Asking Meta …" : "Connect"}</button>
      <ProblemNote error={error} />
    </form>
  );
}

function Done({ connected }: { connected: Connected }): ReactNode {
  const { links, webhook, username } = connected;
  return (
    <section>
      <h2>{username ? `@${username}` : "The account"} is connected</h2>
      <p>Callback URL for Meta's dashboard, if the account has its own Meta app: <code>{webhook.callbackUrl}</code></p>
      {links && <QrCode link={links.directMessage} image={links.qrCodes.directMessage} label="Write to us" />}
      {links && <QrCode link={links.profile} image={links.qrCodes.profile} label="Our profile" />}
    </section>
  );
}
