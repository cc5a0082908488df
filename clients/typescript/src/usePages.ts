// A list, page by page by cursor. A cursor is stable while new items arrive; `skip` is not.

import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Page } from "./types.ts";

/** Loads the page at a cursor; the first one without. Memoize it: a new function is a new list. */
export type Load<T> = (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>;

interface Shown<T> {
  items: T[];
  cursor: string | undefined;
}

export interface Pages<T> {
  items: T[];
  loading: boolean;
  error: unknown;
  hasMore: boolean;
  loadMore: () => void;
  /** Reloads all shown pages. */
  refresh: () => void;
  /** Changes what is shown, by what an event told; reloads if that does not suffice. */
  change: (by: (items: T[]) => T[] | undefined) => void;
}

/** `nameOf` identifies items: one that moved between two pages is shown once. */
export function usePages<T>(load: Load<T>, nameOf: (item: T) => string): Pages<T> {
  const [shown, setShown] = useState<Shown<T>>({ items: [], cursor: undefined });
  const [loading, setLoading] = useState(true);
  const [error, setError] = useState<unknown>();
  const running = useRef(new AbortController());
  const latest = useRef(shown);
  const busy = useRef(false);
  const name = useRef(nameOf);

  const run = useCallback((from: Shown<T>, least: number) => {
    // The newest request counts; a late response to an older one is dropped.
    running.current.abort();
    const { signal } = (running.current = new AbortController());
    busy.current = true;
    setLoading(true);
    setError(undefined);
    gather(load, name.current, from, least, signal).then(
      (gathered) => {
        if (signal.aborted) return;
        busy.current = false;
        latest.current = gathered;
        setShown(gathered);
        setLoading(false);
      },
      (cause: unknown) => {
        if (signal.aborted) return;
        busy.current = false;
        setError(cause);
        setLoading(false);
      },
    );
  }, [load]);

  useEffect(() => {
    const nothing = { items: [], cursor: undefined };
    latest.current = nothing;
    setShown(nothing);
    run(nothing, 1);
    return () => running.current.abort();
  }, [run]);

  const refresh = useCallback(() => run({ items: [], cursor: undefined }, latest.current.items.length), [run]);
  const loadMore = useCallback(() => run(latest.current, latest.current.items.length + 1), [run]);

  const change = useCallback((by: (items: T[]) => T[] | undefined) => {
    const items = by(latest.current.items);
    // A response that is under way may be older than the event.
    if (items === undefined || busy.current) return refresh();
    latest.current = { ...latest.current, items };
    setShown(latest.current);
  }, [refresh]);

  const hasMore = shown.cursor !== undefined;
  return useMemo(
    () => ({ items: shown.items, loading, error, hasMore, loadMore, refresh, change }),
    [shown, loading, error, hasMore, loadMore, refresh, change],
  );
}

/** Loads pages until there are at least `least` items, or no more. */
async function gather<T>(
  load: Load<T>, nameOf: (item: T) => string, from: Shown<T>, least: number, signal: AbortSignal,
): Promise<Shown<T>> {
  const items = new Map(from.items.map((item) => [nameOf(item), item]));
  let cursor = from.cursor;
  do {
    const page = await load(cursor, signal);
    for (const item of page.items) items.set(nameOf(item), item);
    cursor = page.nextCursor ?? undefined;
  } while (items.size < least && cursor !== undefined);
  return { items: [...items.values()], cursor };
}
