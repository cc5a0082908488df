// Shared by the components: the client, and one stream of live events for the whole page.

import { createContext, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import type { Client } from "./client.ts";
import { follow, type StreamState } from "./events.ts";
import type { LiveEvent } from "./types.ts";

/** Called on every event, and on every (re)connect: fetch what happened in between. */
export interface Listener {
  onEvent?: (event: LiveEvent) => void;
  onOpen?: () => void;
}

export type LiveState = StreamState | "stopped";

interface Shared {
  client: Client;
  live: LiveState;
  listen: (listener: Listener) => () => void;
}

const Context = createContext<Shared | null>(null);

export function Dmrelay({ client, children }: { client: Client; children: ReactNode }): ReactNode {
  const [live, setLive] = useState<LiveState>("connecting");
  const listeners = useRef(new Set<Listener>());

  useEffect(() => {
    const stop = new AbortController();
    follow({
      url: `${client.eventsUrl}?include=message,chat`,
      token: client.token,
      signal: stop.signal,
      onEvent: (event) => listeners.current.forEach((listener) => listener.onEvent?.(event)),
      onState: (state) => {
        setLive(state);
        if (state === "open") listeners.current.forEach((listener) => listener.onOpen?.());
      },
      // Rejected permanently, e.g. because the token lacks permissions. Calls will show the reason.
    }).catch(() => setLive("stopped"));
    return () => stop.abort();
  }, [client]);

  const shared = useMemo<Shared>(() => {
    const listen = (listener: Listener): (() => void) => {
      listeners.current.add(listener);
      return () => listeners.current.delete(listener);
    };
    return { client, live, listen };
  }, [client, live]);
  return <Context value={shared}>{children}</Context>;
}

export function useDmrelay(): Shared {
  const shared = useContext(Context);
  if (!shared) throw new Error("useDmrelay is for components inside <Dmrelay>");
  return shared;
}

/** Calls `refresh` for events that `concerns` accepts; a burst of events causes a single call. */
export function useRefresh(refresh: () => void, concerns: (event: LiveEvent) => boolean): void {
  const { listen } = useDmrelay();
  const latest = useRef({ refresh, concerns });
  useEffect(() => {
    latest.current = { refresh, concerns };
  });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const soon = (): void => {
      timer ??= setTimeout(() => {
        timer = undefined;
        latest.current.refresh();
      }, 250);
    };
    const stop = listen({ onOpen: soon, onEvent: (event) => latest.current.concerns(event) && soon() });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [listen]);
}
