// Answers messages, those of one user one after the other.

import { UnrecoverableError, Worker } from 'bullmq';
import { ask, createChat, send } from './clients.js';
import { config } from './config.js';
import * as db from './db.js';
import { QUEUE, connect } from './queue.js';

export function startWorker() {
  const worker = new Worker(QUEUE, (job) => inTurn(job.data.user, () => run(job.data)), {
    connection: connect(null),
    prefix: config.queuePrefix,
    concurrency: config.concurrency,
  });
  worker.on('error', (err) => console.error('worker:', err.message));
  worker.on('failed', (job, err) => {
    console.error(`job ${job?.id}:`, err.message);
    if (job?.finishedOn) giveUp(job.data, err).catch((err) => console.error('giving up:', err.message));
  });
  return worker;
}

// The last task of each user.
const tails = new Map();

function inTurn(user, task) {
  const turn = (tails.get(user) ?? Promise.resolve()).then(task);
  const tail = turn.catch(() => {}).finally(() => {
    if (tails.get(user) === tail) tails.delete(user);
  });
  tails.set(user, tail);
  return turn;
}

async function run(message) {
  try {
    await answer(message);
  } catch (err) {
    throw err.permanent ? new UnrecoverableError(err.message) : err;
  }
}

async function answer(message) {
  const chat = await db.openChat(message.user);
  const incoming = await db.storeIncoming(chat.id, message);
  // Answered before: a webhook that came again, or an attempt that failed at sending.
  const replies = incoming.status === 'answered'
    ? await db.pendingReplies(incoming.id)
    : await db.storeReplies(chat.id, incoming.id, await askAgent(chat, message));
  for (const reply of replies) {
    const mid = await send(message.user, reply.text);
    await db.replySent(reply.id, mid);
  }
}

async function askAgent(chat, message) {
  if (chat.agent_chat_id) {
    try {
      return await ask(chat.agent_chat_id, message.text);
    } catch (err) {
      // Retell ends chats that were silent for long, and forgets them later.
      if (err.status !== 400 && err.status !== 422) throw err;
    }
  }
  const agentChat = await createChat(message.user);
  await db.setAgentChat(chat.id, agentChat);
  return ask(agentChat, message.text);
}

const giveUp = ({ user, mid }, err) =>
  db.storeFailure(config.accountId, user, JSON.stringify({ mid, error: err.message }));
