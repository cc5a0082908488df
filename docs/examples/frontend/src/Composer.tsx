// A human agent writes. The first message silences the bot in this chat.

import { useRef, useState, type FormEvent, type ReactNode } from "react";
import { type Chat, newKey } from "dmrelay-client";
import { useDmrelay } from "dmrelay-client/react";
import { ProblemNote } from "./ProblemNote.tsx";

/** Meta counts bytes, not characters. */
const MOST_BYTES = 1_000;

export function Composer({ chat, onSent }: { chat: Chat; onSent: () => void }): ReactNode {
  const { client } = useDmrelay();
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  // One key per message: pressing Send again after an error sends it once. Another text gets another key.
  const key = useRef<string>(undefined);
  const left = MOST_BYTES - new TextEncoder().encode(text).length;

  const change = (value: string): void => {
    key.current = undefined;
    setText(value);
  };

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const message = text.trim();
    if (busy || message === "") return;
    key.current ??= newKey();
    setBusy(true);
    setError(undefined);
    try {
      // 202: it is in the outbox. The outcome arrives as message.sent or message.failed.
      const { connectionId, instagramUserId } = chat;
      await client.send({ instagramUserId, message, connectionId }, key.current);
      change("");
      onSent();
    } catch (cause) {
      setError(cause);
    } finally {
      setBusy(false);
    }
  };

  if (chat.window === "closed") {
    return <p>Meta lets no one write here until the customer writes again.</p>;
  }
  return (
    <form onSubmit={(event) => void submit(event)}>
      {chat.window === "human_agent" && (
        <p>The 24 hours are over. A human agent may still answer, if the account has Meta's Human Agent feature.</p>
      )}
      {chat.mode === "bot" && <p>The bot falls silent in this chat when you write.</p>}
      <textarea value={text} disabled={busy} onChange={(event) => change(event.target.value)} />
      {left < 200 && <small>{left} bytes left</small>}
      <button disabled={busy || left < 0 || text.trim() === ""}>Send</button>
      <ProblemNote error={error} />
    </form>
  );
}
