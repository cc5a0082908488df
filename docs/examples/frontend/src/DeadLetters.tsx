// Dead letters: reviewed by a human, then replayed or discarded.

import { useCallback, useState, type ReactNode } from "react";
import { type DeadLetter, newKey } from "dmrelay-client";
import { type Load, useDmrelay, usePages, useRefresh } from "dmrelay-client/react";
import { ProblemNote } from "./ProblemNote.tsx";

/** Maximum number per call. */
const MOST = 200;

export function DeadLetters(): ReactNode {
  const { client } = useDmrelay();
  const [error, setError] = useState<unknown>();
  const [refused, setRefused] = useState<ReadonlyMap<string, string>>(new Map());
  const load = useCallback<Load<DeadLetter>>(
    (cursor, signal) => client.deadLetters({ cursor }, signal),
    [client],
  );
  const letters = usePages(load, (letter) => letter.deadLetterId);
  useRefresh(letters.refresh, (event) => event.type.startsWith("dead_letter."));

  const run = (call: Promise<unknown>): void => {
    setError(undefined);
    call.catch(setError).finally(letters.refresh);
  };
  /** Refused ones stay open, with a reason: the window has closed, a human agent has the chat … */
  const replay = async (ids: string[]): Promise<void> => {
    const answer = await client.replay({ ids }, newKey());
    setRefused(new Map(answer.refused.map(({ id, reason }) => [id, reason])));
  };

  return (
    <section>
      <button disabled={letters.items.length === 0} onClick={() => run(replay(letters.items.slice(0, MOST).map((letter) => letter.deadLetterId)))}>
        Try the first {Math.min(letters.items.length, MOST)} again
      </button>
      <ProblemNote error={error ?? letters.error} />
      <ul>
        {letters.items.map((letter) => (
          <li key={letter.deadLetterId}>
            <strong>{letter.class}</strong> {letter.kind}: {letter.error} (tried {letter.attempts} times)
            <button onClick={() => run(replay([letter.deadLetterId]))}>Try again</button>
            <button onClick={() => run(client.discard(letter.deadLetterId))}>Leave it</button>
            {refused.has(letter.deadLetterId) && <em> {refused.get(letter.deadLetterId)}</em>}
          </li>
        ))}
      </ul>
      {letters.hasMore && <button disabled={letters.loading} onClick={letters.loadMore}>More</button>}
    </section>
  );
}
