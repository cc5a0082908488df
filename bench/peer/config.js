// Settings, all from the environment.

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

function number(name, fallback) {
  const value = Number(process.env[name] || fallback);
  if (!Number.isInteger(value) || value < 0) throw new Error(`${name} must be a whole number`);
  return value;
}

const base = (url) => url.replace(/\/+$/, '');

const role = process.env.ROLE || 'all';
if (!['api', 'worker', 'all'].includes(role)) throw new Error('ROLE must be api, worker or all');

export const config = {
  api: role !== 'worker',
  worker: role !== 'api',
  host: process.env.HOST || '127.0.0.1',
  port: number('PORT', 3000),
  databaseUrl: required('DATABASE_URL'),
  databaseConnections: number('DATABASE_CONNECTIONS', 20),
  redisUrl: required('REDIS_URL'),
  queuePrefix: process.env.QUEUE_PREFIX || 'bull',
  accountId: required('ACCOUNT_ID'),
};

if (config.api) {
  config.appSecret = required('APP_SECRET');
  config.verifyToken = required('VERIFY_TOKEN');
}

if (config.worker) {
  // Instagram Login names the account in the path; Facebook Login, on the other host, says "me".
  const instagram = process.env.INSTAGRAM_GRAPH_URL;
  const version = process.env.GRAPH_VERSION || 'v25.0';
  config.messagesUrl = instagram
    ? `${base(instagram)}/${version}/${config.accountId}/messages`
    : `${base(required('GRAPH_URL'))}/${version}/me/messages`;
  config.accessToken = required('ACCESS_TOKEN');
  config.retellUrl = base(process.env.RETELL_URL || 'https://api.retellai.com');
  config.retellApiKey = required('RETELL_API_KEY');
  config.agentId = required('AGENT_ID');
  config.concurrency = number('CONCURRENCY', 256);
}
