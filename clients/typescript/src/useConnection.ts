// The state of the agent's connection: polled, and fetched at once when an event reports a change.

import { useCallback, useEffect, useRef, useState } from "react";
import { useDmrelay, useRefresh } from "./Dmrelay.tsx";
import { ProblemError } from "./problem.ts";
import type { Answer } from "./types.ts";

export type Status = Answer<"/status">;

export type ConnectionState =
  | { kind: "loading" }
  /** No account is connected yet: show the form. */
  | { kind: "none" }
  /** The agent has several accounts: let the user choose one. */
  | { kind: "several" }
  | { kind: "one"; status: Status; error: unknown }
  | { kind: "failed"; error: unknown };

/** Deliberately slow: changes arrive as events, and polling only finds what they missed. */
const POLL = 30_000;

export function useConnection(connectionId?: string): { state: ConnectionState; reload: () => void } {
  const { client } = useDmrelay();
  const [state, setState] = useState<ConnectionState>({ kind: "loading" });
  const running = useRef(new AbortController());

  const reload = useCallback(() => {
    running.current.abort();
    const { signal } = (running.current = new AbortController());
    client.status({ connectionId }, signal).then(
      (status) => signal.aborted || setState({ kind: "one", status, error: undefined }),
      (error: unknown) => signal.aborted || setState((old) => failed(old, error)),
    );
  }, [client, connectionId]);

  useEffect(() => {
    reload();
    const timer = setInterval(() => document.visibilityState === "visible" && reload(), POLL);
    return () => {
      clearInterval(timer);
      running.current.abort();
    };
  }, [reload]);
  // A mode change without a chat concerns the whole account.
  useRefresh(reload, ({ type, chatId }) => type === "connection.state" || (type === "chat.mode" && chatId == null));
  return { state, reload };
}

function failed(old: ConnectionState, error: unknown): ConnectionState {
  if (error instanceof ProblemError && error.word === "not-connected") return { kind: "none" };
  if (error instanceof ProblemError && error.word === "ambiguous-connection") return { kind: "several" };
  // The last known state stays on the page, next to the error.
  return old.kind === "one" ? { ...old, error } : { kind: "failed", error };
}
