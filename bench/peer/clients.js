// Calls to Retell and to Meta's Graph API, over connections that are kept.

import { Agent, request } from 'undici';
import { config } from './config.js';

const agent = new Agent({
  connections: Math.max(config.concurrency ?? 0, 1),
  keepAliveTimeout: 30_000,
  connectTimeout: 5_000,
  headersTimeout: 60_000,
  bodyTimeout: 60_000,
});

class CallError extends Error {
  constructor(url, status, text) {
    super(`${new URL(url).pathname}: ${status} ${text.slice(0, 200)}`);
    this.status = status;
    // Too many requests and errors of the server may pass.
    this.permanent = status >= 400 && status < 500 && status !== 408 && status !== 429;
  }
}

async function post(url, token, json) {
  const { statusCode, body } = await request(url, {
    dispatcher: agent,
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(json),
  });
  const text = await body.text();
  if (statusCode < 200 || statusCode > 299) throw new CallError(url, statusCode, text);
  return JSON.parse(text);
}

// Opens a chat with the agent and gives its id.
export async function createChat(user) {
  const answer = await post(`${config.retellUrl}/create-chat`, config.retellApiKey, {
    agent_id: config.agentId,
    metadata: { instagram_account_id: config.accountId, instagram_user_id: user },
  });
  return answer.chat_id;
}

// Gives what the agent says to this, in order.
export async function ask(chat, content) {
  const url = `${config.retellUrl}/create-chat-completion`;
  const { messages } = await post(url, config.retellApiKey, { chat_id: chat, content });
  return messages
    .filter((message) => message.role === 'agent' && typeof message.content === 'string')
    .map((message) => message.content.replaceAll('\0', '').trim())
    .filter((text) => text !== '');
}

// Sends a message and gives its mid.
export async function send(user, text) {
  const answer = await post(config.messagesUrl, config.accessToken, { recipient: { id: user }, message: { text } });
  return answer.message_id;
}

export const closeConnections = () => agent.close();
