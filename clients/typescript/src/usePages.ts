// A list, page by page by cursor. A cursor is stable while new items arrive; `skip` is not.

import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { PageStore, type Change, type Load, type Shown } from "./pages.ts";

export type { Change, Load } from "./pages.ts";

export interface Pages<T> extends Shown<T> {
  loadMore: () => void;
  /** Reloads all shown pages. */
  refresh: () => void;
  /** Changes what is shown, by what an event told. False if that does not suffice: then refresh. */
  change: (by: Change<T>) => boolean;
}

/** Memoize `load`: a new function is a new list. `nameOf` identifies items: one that moved between two pages is shown once. */
export function usePages<T>(load: Load<T>, nameOf: (item: T) => string): Pages<T> {
  const name = useRef(nameOf);
  const store = useMemo(() => new PageStore(load, name.current), [load]);
  const shown = useSyncExternalStore(store.subscribe, store.snapshot, store.snapshot);
  useEffect(() => {
    store.start();
    return () => store.stop();
  }, [store]);
  const { refresh, loadMore, change } = store;
  return useMemo(() => ({ ...shown, refresh, loadMore, change }), [shown, refresh, loadMore, change]);
}
