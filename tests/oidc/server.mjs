// An OpenID provider for tests: oidc-provider on a port of its own, with refresh tokens that are spent by their use.
// Run in the folder where it is installed; it prints one line of JSON, {"port"}. What it issued is lost when it ends.
//
//   POST /__lab/grant  {"auth":"basic"|"post"|"none"}   a grant, after login and consent:
//                      {"token_url","client_id","client_secret","refresh_token"}
//   POST /__lab/arm    {"fault","calls"}                what the next calls of the token endpoint meet (FAULTS, below)
//   POST /__lab/ttl    {"seconds"}                      how long access tokens live from now on
//   GET  /__lab/stats                                   {"asked","refreshes"}: all calls, and accepted refreshes
//   GET  /__lab/active ?token=                          {"active"}, by introspection (RFC 7662)
//
// Invariant: what decides about a token is oidc-provider alone; a fault touches what goes over the wire, never its state.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';

const installed = createRequire(`${process.cwd()}/`).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(installed));

const REDIRECT_URI = 'http://127.0.0.1/callback';
const SCOPE = 'openid offline_access api';
// Every sign that has to be encoded on its way.
const SECRET = 'a secret +/=&%:of the lab, 32 bytes';
const CLIENTS = { basic: 'client_secret_basic', post: 'client_secret_post', none: 'none' };

const lab = { ttl: 3600, armed: [], asked: 0, refreshes: 0 };

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: Object.entries(CLIENTS).map(([client_id, token_endpoint_auth_method]) => ({
    client_id,
    ...(client_id !== 'none' && { client_secret: SECRET }),
    token_endpoint_auth_method,
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [REDIRECT_URI],
  })),
  scopes: SCOPE.split(' '),
  features: { devInteractions: { enabled: false }, introspection: { enabled: true } },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: (ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  expiresWithSession: () => false,
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  ttl: {
    AccessToken: () => lab.ttl,
    AuthorizationCode: 60,
    Grant: 86_400 * 365,
    IdToken: 3600,
    Interaction: 60,
    RefreshToken: 86_400 * 365,
    Session: 3600,
  },
});
provider.on('grant.success', (ctx) => {
  if (ctx.oidc.params.grant_type === 'refresh_token') lab.refreshes += 1;
});

// Logs in and consents, as a person would.
async function interact(request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  const accountId = 'someone';
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId } });
  }
  const grant = new provider.Grant({ accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

// The whole way from the authorisation request to a refresh token (RFC 6749, 4.1; RFC 7636).
async function makeGrant({ auth }) {
  const verifier = randomBytes(32).toString('base64url');
  const asked = new URLSearchParams({
    client_id: auth,
    response_type: 'code',
    redirect_uri: REDIRECT_URI,
    scope: SCOPE,
    prompt: 'consent',
    code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  });
  const cookies = new Map();
  let at = `${issuer}/auth?${asked}`;
  while (!at.startsWith(REDIRECT_URI)) {
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
    const answer = await fetch(at, { redirect: 'manual', headers: { cookie } });
    for (const set of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set);
      cookies.set(name, value);
    }
    if (!answer.headers.has('location')) throw new Error(`${at}: ${answer.status} ${await answer.text()}`);
    at = new URL(answer.headers.get('location'), issuer).href;
  }
  const code = new URL(at).searchParams.get('code');
  const tokens = await ask('/token', auth, {
    grant_type: 'authorization_code', code, redirect_uri: REDIRECT_URI, code_verifier: verifier,
  });
  if (!tokens.refresh_token) throw new Error(`no grant: ${JSON.stringify(tokens)}`);
  return {
    token_url: `${issuer}/token`,
    client_id: auth,
    ...(auth !== 'none' && { client_secret: SECRET }),
    refresh_token: tokens.refresh_token,
  };
}

// Asks an endpoint of the provider's as one of the clients.
async function ask(path, client, form) {
  const body = new URLSearchParams(form);
  const headers = { 'x-lab': '1' };
  if (client === 'basic') {
    const pair = [client, SECRET].map((part) => new URLSearchParams({ '': part }).toString().slice(1)).join(':');
    headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
  } else {
    body.set('client_id', client);
    if (client === 'post') body.set('client_secret', SECRET);
  }
  return (await fetch(issuer + path, { method: 'POST', headers, body })).json();
}

function say(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'text/html', ...headers }).end(body);
}

// What a call of the token endpoint can meet.
const pass = provider.callback();
const FAULTS = {
  // Carried out, and the connection is closed without an answer.
  drop(request, response) {
    response.write = () => true;
    response.end = () => request.socket.destroy();
    pass(request, response);
  },
  // Closed without anything being done.
  drop_before: (request) => request.socket.destroy(),
  503: (request, response) => say(response, 503, 'later'),
  429: (request, response) => say(response, 429, 'too many', { 'retry-after': '300' }),
  html: (request, response) => say(response, 200, '<html>Sign in to the network</html>'),
  // Carried out, and the answer does not say for how long.
  no_expires_in(request, response) {
    const end = response.end.bind(response);
    response.end = (body) => {
      const { expires_in, ...rest } = JSON.parse(body);
      const shorter = JSON.stringify(rest);
      response.setHeader('content-length', Buffer.byteLength(shorter));
      end(shorter);
    };
    pass(request, response);
  },
};

const LAB = {
  'POST /__lab/grant': async (body) => makeGrant(body),
  'POST /__lab/arm': async ({ fault, calls }) => {
    if (!Object.hasOwn(FAULTS, fault)) throw new Error(`no such fault: ${fault}`);
    lab.armed.push(...Array(calls).fill(fault));
    return {};
  },
  'POST /__lab/ttl': async ({ seconds }) => {
    lab.ttl = seconds;
    return {};
  },
  'GET /__lab/stats': async () => ({ asked: lab.asked, refreshes: lab.refreshes }),
  'GET /__lab/active': async (body, query) => {
    const { active } = await ask('/token/introspection', 'basic', { token: query.get('token') });
    return { active };
  },
};

async function control(run, request, response, query) {
  try {
    const body = await text(request);
    const answer = await run(body && JSON.parse(body), query);
    say(response, 200, JSON.stringify(answer), { 'content-type': 'application/json' });
  } catch (error) {
    say(response, 500, String(error));
  }
}

server.on('request', (request, response) => {
  const url = new URL(request.url, issuer);
  const run = LAB[`${request.method} ${url.pathname}`];
  if (run) {
    control(run, request, response, url.searchParams);
  } else if (url.pathname.startsWith('/interaction/')) {
    interact(request, response).catch((error) => say(response, 500, String(error)));
  } else if (url.pathname === '/token' && !request.headers['x-lab']) {
    lab.asked += 1;
    const met = FAULTS[lab.armed.shift()] ?? pass;
    met(request, response);
  } else {
    pass(request, response);
  }
});

console.log(JSON.stringify({ port: server.address().port }));
