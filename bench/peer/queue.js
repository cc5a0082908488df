// The queue between api and worker.

import { Redis } from 'ioredis';
import { Queue } from 'bullmq';
import { config } from './config.js';

export const QUEUE = 'incoming';

// A worker waits for Redis as long as it takes; a request is better refused, so that Meta repeats it.
export const connect = (maxRetriesPerRequest) => {
  const redis = new Redis(config.redisUrl, { maxRetriesPerRequest, enableAutoPipelining: true });
  redis.on('error', (err) => console.error('redis:', err.message));
  return redis;
};

export function openQueue() {
  return new Queue(QUEUE, {
    connection: connect(1),
    prefix: config.queuePrefix,
    defaultJobOptions: {
      attempts: 5,
      backoff: { type: 'exponential', delay: 500 },
      removeOnComplete: true,
      removeOnFail: { count: 10_000 },
    },
  });
}
