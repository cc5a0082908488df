// A connection's settings. An empty field is the default: it is sent as null.

import { useState, type FormEvent, type ReactNode } from "react";
import { type Status, useConnection, useDmrelay } from "dmrelay-client/react";
import { ProblemError } from "dmrelay-client";
import { ProblemNote } from "./ProblemNote.tsx";

export function SettingsForm({ connectionId }: { connectionId?: string }): ReactNode {
  const { state, reload } = useConnection(connectionId);
  if (state.kind !== "one") return null;
  return <Fields key={state.status.connectionId} status={state.status} onSaved={reload} />;
}

function Fields({ status, onSaved }: { status: Status; onSaved: () => void }): ReactNode {
  const { client } = useDmrelay();
  const [error, setError] = useState<unknown>();
  const [saved, setSaved] = useState(false);
  const { settings, connectionId } = status;

  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string): string | null => String(form.get(name) ?? "").trim() || null;
    const number = (name: string): number | null => (text(name) === null ? null : Number(text(name)));
    setError(undefined);
    setSaved(false);
    client.changeSettings({
      connectionId,
      debounceMs: number("debounceMs"),
      takeoverHours: number("takeoverHours"),
      fallbackText: text("fallbackText"),
      humanAgent: form.has("humanAgent"),
    }).then(() => {
      setSaved(true);
      onSaved();
    }, setError);
  };

  const wrong = (name: string): ReactNode => {
    const what = error instanceof ProblemError ? error.at(`/${name}`) : undefined;
    return what && <small role="alert">{what}</small>;
  };
  return (
    <form onSubmit={submit}>
      <label>
        Silence before the bot answers, in milliseconds
        <input name="debounceMs" type="number" min={0} defaultValue={settings.debounceMs ?? ""} placeholder="default" />
        {wrong("debounceMs")}
      </label>
      <label>
        Silence of the bot after a human agent writes, in hours
        <input name="takeoverHours" type="number" min={1} defaultValue={settings.takeoverHours ?? ""} placeholder="default" />
        {wrong("takeoverHours")}
      </label>
      <label>
        Sent when the bot fails permanently
        <textarea name="fallbackText" defaultValue={settings.fallbackText ?? ""} />
        {wrong("fallbackText")}
      </label>
      <label>
        <input name="humanAgent" type="checkbox" defaultChecked={settings.humanAgent ?? false} />
        Our Meta app has the Human Agent feature
      </label>
      <button>Save</button>
      {saved && <span role="status">Saved</span>}
      <ProblemNote error={error} />
    </form>
  );
}
