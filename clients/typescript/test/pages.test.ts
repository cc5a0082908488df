import assert from "node:assert/strict";
import { test } from "node:test";
import { PageStore } from "../src/pages.ts";
import type { Page } from "../src/types.ts";

/** A list whose loads end when the test says so. */
function listOf() {
  const loads: { cursor: string | undefined; signal: AbortSignal; end: (items: string[], next?: string) => Promise<void>; fail: () => Promise<void> }[] = [];
  const store = new PageStore<string>(
    (cursor, signal) => new Promise((resolve, reject) => {
      const turn = (): Promise<void> => new Promise((done) => setTimeout(done));
      loads.push({
        cursor,
        signal,
        end: (items, next) => {
          const page: Page<string> = { items, total: 9, totalIsExact: true, limit: 2, skip: 0, nextCursor: next ?? null };
          resolve(page);
          return turn();
        },
        fail: () => {
          reject(new Error("no network"));
          return turn();
        },
      });
    }),
    (item) => item.slice(0, 1),
  );
  store.start();
  return { store, loads };
}

test("an event during a load is in what the load gives", async () => {
  const { store, loads } = listOf();
  assert.ok(store.change((items) => ["new", ...items]));
  await loads[0]?.end(["b", "a"]);
  assert.deepEqual(store.snapshot().items, ["new", "b", "a"]);
  assert.equal(loads.length, 1);
  assert.equal(loads[0]?.signal.aborted, false);
});

test("events and refreshes do not end a load of more", async () => {
  const { store, loads } = listOf();
  await loads[0]?.end(["d", "c"], "next");
  store.loadMore();
  for (let n = 0; n < 50; n++) {
    store.change((items) => items.map((item) => (item.startsWith("c") ? `c${n}` : item)));
    store.refresh();
  }
  assert.equal(loads.length, 2);
  await loads[1]?.end(["b", "a"]);
  assert.deepEqual(store.snapshot().items, ["d", "c49", "b", "a"]);
  // What fifty refreshes asked for is one load, of as much as is shown.
  assert.equal(loads.length, 3);
  assert.equal(loads[2]?.cursor, undefined);
  await loads[2]?.end(["d", "c"], "next");
  await loads[3]?.end(["b", "a"]);
  assert.equal(loads[3]?.cursor, "next");
  assert.deepEqual([store.snapshot().items, store.snapshot().loading], [["d", "c", "b", "a"], false]);
});

test("more is loaded after a load that was under way", async () => {
  const { store, loads } = listOf();
  await loads[0]?.end(["b"], "next");
  store.refresh();
  store.loadMore();
  await loads[1]?.end(["b"], "next");
  assert.equal(loads[2]?.cursor, "next");
  await loads[2]?.end(["a"]);
  assert.deepEqual([store.snapshot().items, store.snapshot().hasMore], [["b", "a"], false]);
});

test("what only the server knows is asked for once the load has ended", async () => {
  const { store, loads } = listOf();
  assert.equal(store.change(() => undefined), false);
  await loads[0]?.end(["a"]);
  assert.equal(loads.length, 2);
});

test("a failure is told, and the next load can be begun", async () => {
  const { store, loads } = listOf();
  await loads[0]?.fail();
  assert.match(String(store.snapshot().error), /no network/);
  store.refresh();
  await loads[1]?.end(["a"]);
  assert.deepEqual([store.snapshot().items, store.snapshot().error], [["a"], undefined]);
});

test("a list that is left shows nothing any more", async () => {
  const { store, loads } = listOf();
  let told = 0;
  store.subscribe(() => told++);
  store.stop();
  await loads[0]?.end(["a"]);
  assert.deepEqual([told, store.snapshot().items], [0, []]);
});
