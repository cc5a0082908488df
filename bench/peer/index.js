// Starts the api, the worker, or both.

import { createApp } from './api.js';
import { closeConnections } from './clients.js';
import { config } from './config.js';
import { createTables, pool } from './db.js';
import { connect, openQueue } from './queue.js';
import { startWorker } from './worker.js';

await createTables();
const redis = connect(1);
const queue = config.api ? openQueue() : undefined;
const worker = config.worker ? startWorker() : undefined;
await Promise.all([redis.ping(), queue?.waitUntilReady(), worker?.waitUntilReady()]);

const server = createApp({ redis, queue }).listen(config.port, config.host, (err) => {
  if (err) throw err;
  console.log(`listening on ${config.host}:${server.address().port}`);
});
// Longer than those who call keep theirs.
server.keepAliveTimeout = 120_000;

let stopping = false;
async function stop() {
  if (stopping) return;
  stopping = true;
  server.close();
  server.closeIdleConnections();
  await worker?.close();
  await queue?.close();
  await closeConnections();
  await pool.end();
  process.exit(0);
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
