// The pages of a list that are shown: what was loaded, what is being loaded, and what live events changed meanwhile.

import type { Page } from "./types.ts";

/** Loads the page at a cursor; the first one without. */
export type Load<T> = (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>;

/** Changes the items that are shown; undefined if only the server knows how. */
export type Change<T> = (items: T[], hasMore: boolean) => T[] | undefined;

export interface Shown<T> {
  items: T[];
  loading: boolean;
  error: unknown;
  hasMore: boolean;
}

interface Loaded<T> {
  items: T[];
  cursor: string | undefined;
}

/** One list. Only the newest load counts; what is asked for while it runs is done after it. */
export class PageStore<T> {
  #loaded: Loaded<T> = { items: [], cursor: undefined };
  #shown: Shown<T> = { items: [], loading: true, error: undefined, hasMore: false };
  #running: AbortController | undefined;
  /** What events changed since the load began: its response may be older. */
  #since: Change<T>[] = [];
  #again = false;
  #more = false;
  readonly #load: Load<T>;
  readonly #nameOf: (item: T) => string;
  readonly #listeners = new Set<() => void>();

  /** `nameOf` identifies items: one that moved between two pages is shown once. */
  constructor(load: Load<T>, nameOf: (item: T) => string) {
    this.#load = load;
    this.#nameOf = nameOf;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly snapshot = (): Shown<T> => this.#shown;

  /** Loads the first page. */
  start(): void {
    if (this.#running === undefined) this.#run({ items: [], cursor: undefined }, 1);
  }

  /** Ends what is under way. */
  stop(): void {
    this.#running?.abort();
    this.#running = undefined;
  }

  /** Reloads all shown pages. */
  readonly refresh = (): void => {
    if (this.#running) this.#again = true;
    else this.#run({ items: [], cursor: undefined }, this.#loaded.items.length);
  };

  readonly loadMore = (): void => {
    if (this.#running) this.#more = true;
    else this.#run(this.#loaded, this.#loaded.items.length + 1);
  };

  /** Changes what is shown, by what an event told. False if that does not suffice: then refresh. */
  readonly change = (by: Change<T>): boolean => {
    if (this.#running) this.#since.push(by);
    const items = by(this.#loaded.items, this.#loaded.cursor !== undefined);
    if (items === undefined) return false;
    this.#loaded = { ...this.#loaded, items };
    this.#show({ items });
    return true;
  };

  #show(some: Partial<Shown<T>>): void {
    this.#shown = { ...this.#shown, ...some };
    for (const listener of this.#listeners) listener();
  }

  #run(from: Loaded<T>, least: number): void {
    const running = (this.#running = new AbortController());
    [this.#since, this.#again, this.#more] = [[], false, false];
    this.#show({ loading: true, error: undefined });
    this.#gather(from, least, running.signal).then(
      (gathered) => !running.signal.aborted && this.#settle(gathered),
      (error: unknown) => !running.signal.aborted && this.#fail(error),
    );
  }

  #settle(gathered: Loaded<T>): void {
    this.#running = undefined;
    const hasMore = gathered.cursor !== undefined;
    for (const by of this.#since) {
      const items = by(gathered.items, hasMore);
      if (items === undefined) this.#again = true;
      else gathered = { ...gathered, items };
    }
    this.#loaded = gathered;
    this.#show({ items: gathered.items, loading: false, hasMore });
    if (this.#more) this.#run(this.#loaded, this.#loaded.items.length + 1);
    else if (this.#again) this.refresh();
  }

  #fail(error: unknown): void {
    this.#running = undefined;
    this.#show({ error, loading: false });
  }

  /** Loads pages until there are at least `least` items, or no more. */
  async #gather(from: Loaded<T>, least: number, signal: AbortSignal): Promise<Loaded<T>> {
    const items = new Map(from.items.map((item) => [this.#nameOf(item), item]));
    let cursor = from.cursor;
    do {
      const page = await this.#load(cursor, signal);
      for (const item of page.items) items.set(this.#nameOf(item), item);
      cursor = page.nextCursor ?? undefined;
    } while (items.size < least && cursor !== undefined);
    return { items: [...items.values()], cursor };
  }
}
