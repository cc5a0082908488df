// What Meta calls.

import { createHmac, timingSafeEqual } from 'node:crypto';
import express from 'express';
import { config } from './config.js';
import { ping, storeEcho } from './db.js';

export function createApp({ redis, queue }) {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.get('/readyz', async (_req, res) => {
    try {
      await Promise.all([ping(), redis.ping()]);
      res.sendStatus(200);
    } catch (err) {
      res.status(503).send(err.message);
    }
  });
  if (queue) {
    app.get('/webhooks/instagram', handshake);
    app.post('/webhooks/instagram', express.raw({ type: () => true, limit: '5mb' }), (req, res) => receive(queue, req, res));
  }
  // Without an answer of 200, Meta repeats the webhook.
  app.use((err, _req, res, _next) => {
    console.error('webhook:', err.message);
    res.sendStatus(err.status ?? 500);
  });
  return app;
}

function handshake(req, res) {
  const { 'hub.mode': mode, 'hub.verify_token': token, 'hub.challenge': challenge } = req.query;
  if (mode !== 'subscribe' || token !== config.verifyToken) return res.sendStatus(403);
  res.type('text/plain').send(String(challenge));
}

async function receive(queue, req, res) {
  if (!isSigned(req.body, req.get('x-hub-signature-256'))) return res.sendStatus(401);
  let body;
  try {
    body = JSON.parse(req.body);
  } catch {
    return res.sendStatus(400);
  }
  const { messages, echoes } = read(body);
  const jobs = messages.map((message) => ({ name: 'message', data: message, opts: { jobId: jobId(message.mid) } }));
  const work = echoes.map(storeEcho);
  if (jobs.length === 1) work.push(queue.add(jobs[0].name, jobs[0].data, jobs[0].opts));
  if (jobs.length > 1) work.push(queue.addBulk(jobs));
  await Promise.all(work);
  res.status(200).end();
}

function isSigned(body, header) {
  if (!Buffer.isBuffer(body) || !header?.startsWith('sha256=')) return false;
  const claimed = Buffer.from(header.slice(7), 'hex');
  const actual = createHmac('sha256', config.appSecret).update(body).digest();
  return claimed.length === actual.length && timingSafeEqual(claimed, actual);
}

// Text messages to the account, and what was sent in its name.
function read(body) {
  const messages = [];
  const echoes = [];
  if (body?.object !== 'instagram' || !Array.isArray(body.entry)) return { messages, echoes };
  for (const entry of body.entry) {
    if (String(entry?.id) !== config.accountId || !Array.isArray(entry.messaging)) continue;
    for (const item of entry.messaging) {
      const { sender, recipient, message, timestamp } = item ?? {};
      if (!message?.mid || message.is_deleted) continue;
      const at = Number(timestamp) || Date.now();
      const text = typeof message.text === 'string' ? message.text.replaceAll('\0', '') : '';
      if (message.is_echo) {
        if (recipient?.id) echoes.push({ user: recipient.id, mid: message.mid, text, at });
      } else if (sender?.id && sender.id !== config.accountId && text) {
        messages.push({ user: sender.id, mid: message.mid, text, at });
      }
    }
  }
  return { messages, echoes };
}

// BullMQ takes neither whole numbers nor colons.
const jobId = (mid) => `mid-${mid.replaceAll(':', '_')}`;
