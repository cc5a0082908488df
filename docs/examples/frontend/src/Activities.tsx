// The activity log, newest first.

import { useCallback, useState, type ReactNode } from "react";
import { type Load, useDmrelay, usePages, useRefresh } from "dmrelay-client/react";
import { ProblemNote } from "./ProblemNote.tsx";
import type { Activity } from "dmrelay-client";

/** Related kinds, comma-separated as the API expects them. */
const FILTERS = {
  Everything: "",
  Connections: "INSTAGRAM_CONNECTED,INSTAGRAM_DISCONNECTED,INSTAGRAM_CONNECTION_STATE_CHANGED",
  Messages: "INSTAGRAM_MESSAGE_RECEIVED,INSTAGRAM_MESSAGE_SENT,INSTAGRAM_MESSAGE_FAILED",
  "Bot on and off": "INSTAGRAM_BOT_PAUSED,INSTAGRAM_BOT_RESUMED",
};

export function Activities(): ReactNode {
  const { client } = useDmrelay();
  const [kind, setKind] = useState("");
  const load = useCallback<Load<Activity>>(
    (cursor, signal) => client.activities({ kind: kind || undefined, cursor }, signal),
    [client, kind],
  );
  const activities = usePages(load, (activity) => activity.activityId);
  useRefresh(activities.refresh, () => true);

  return (
    <section>
      <select value={kind} onChange={(event) => setKind(event.target.value)}>
        {Object.entries(FILTERS).map(([label, kinds]) => <option key={label} value={kinds}>{label}</option>)}
      </select>
      <ProblemNote error={activities.error} />
      <table>
        <tbody>
          {activities.items.map(({ activityId, at, kind, actor, subject }) => (
            <tr key={activityId}>
              <td><time dateTime={at}>{new Date(at).toLocaleString()}</time></td>
              <td>{kind}</td>
              <td>{actor}</td>
              <td>{subject}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {activities.hasMore && <button disabled={activities.loading} onClick={activities.loadMore}>Older</button>}
    </section>
  );
}
