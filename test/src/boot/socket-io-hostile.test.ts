/** Clients that break Socket.IO's protocols, below its library. One of them must not end the process, nor cost more than a raw socket's. */
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { until } from '../../helpers/until.js';
import { connect } from '../../helpers/ws-client.js';
import { connectTcp, startFront, type Fixture, type FixtureOptions } from '../front/front-fixture.js';

// A machine that does other work takes its time; nothing here waits for it.
t.setTimeout(300_000);

const POLL = 'EIO=4&transport=polling';
const WS = 'EIO=4&transport=websocket';

async function start(t: Test, options: FixtureOptions = {}): Promise<Fixture> {
  const fixture = await startFront({ ...options, listen: { socketIo: true, ...options.listen } });
  t.teardown(() => fixture.close());
  return fixture;
}

/** The answer's status and text. */
async function ask(url: string, query: string, init: RequestInit = {}): Promise<[status: number, text: string]> {
  const answer = await fetch(`${url}/socket.io/?${query}`, init);
  return [answer.status, await answer.text()];
}

async function handshake(url: string): Promise<string> {
  const [, text] = await ask(url, POLL);
  return (JSON.parse(text.slice(1)) as { sid: string }).sid;
}

/** A poller that is connected; the query of its requests. */
async function poller(url: string): Promise<string> {
  const query = `${POLL}&sid=${await handshake(url)}`;
  await ask(url, query, { method: 'POST', body: '40' });
  let heard = '';
  while (!heard.includes('"system:ready"')) heard += (await ask(url, query))[1];
  t.match(heard, /^40\{"sid":/);
  return query;
}

function openRaw(t: Test, url: string, query = WS, headers: Record<string, string> = {}): WebSocket {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/socket.io/?${query}`, { headers });
  socket.on('error', () => undefined); // a refused upgrade
  t.teardown(() => socket.terminate());
  return socket;
}

/** It still serves. */
async function serves(t: Test, url: string): Promise<void> {
  const client = await connect(url);
  await client.ready;
  await client.close();
  t.pass('the front serves');
}

t.test('requests that its library would trip over are refused before it sees them', async (t) => {
  const { url } = await start(t);
  const bad = ['', 'EIO=3&transport=polling', 'EIO=4', WS, `${POLL}&transport=polling`, `${POLL}&EIO=4`];
  for (const query of [...bad, `${POLL}&sid=a&sid=b`, 'EIO=4&transport=webtransport', 'EIO=4&transport=__proto__']) {
    t.equal((await ask(url, query))[0], 400, query);
  }
  for (const method of ['PUT', 'DELETE', 'PATCH', 'POST']) t.equal((await ask(url, POLL, { method }))[0], 405, method);
  t.equal((await ask(url, `${POLL}&sid=__proto__`))[0], 400);
  t.equal((await ask(url, `${POLL}&sid=unknown`, { method: 'POST', body: '42' }))[0], 400);
  const sid = await handshake(url);
  for (const query of [POLL, `${POLL}&sid=${sid}`, 'EIO=3&transport=websocket', `${WS}&transport=websocket`]) {
    const socket = openRaw(t, url, query);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
    t.equal(response.statusCode, 400, query);
  }
  await serves(t, url);
});

t.test('a poller that goes away, asks twice or sends no packet costs itself alone', async (t) => {
  const { url, agent, front } = await start(t);
  const away = await poller(url);
  const session = [...agent.sessions.keys()][0]!;
  const stop = new AbortController();
  const waiting = fetch(`${url}/socket.io/?${away}`, { signal: stop.signal });
  stop.abort();
  await t.rejects(waiting);
  agent.emit(session, { type: 'text', turn: 1, block: 0, text: 'nobody hears this' });
  const twice = await poller(url);
  const polls = [ask(url, twice), ask(url, twice)];
  await Promise.allSettled(polls);
  for (const body of [
    '',
    '9',
    '4',
    '4x',
    '42',
    '42[',
    '42["connect"]',
    '451-["message"]',
    'bAAAA',
    '\u001e\u001e',
    '49{}',
  ]) {
    const query = await poller(url);
    await ask(url, query, { method: 'POST', body }).catch(() => undefined);
  }
  await serves(t, url);
  const client = await connect(url);
  t.teardown(() => client.terminate());
  await client.ready;
  t.ok(front.counts().connections <= 20, 'none is left behind that is over');
});

t.test('what is not an event with JSON ends the connection', async (t) => {
  const { url } = await start(t);
  const packets = [
    '42["connect"]',
    '42[',
    '451-["message",{"_placeholder":true,"num":0}]',
    '430[]',
    '40{}',
    '40/other,',
    '42/other,["x"]',
  ];
  for (const packet of [...packets, Buffer.from('binary'), `3${'x'.repeat(300)}`, `6${'x'.repeat(300)}`]) {
    const socket = openRaw(t, url);
    socket.once('open', () => socket.send('40'));
    const closed = once(socket, 'close');
    socket.on('message', (data: Buffer) => {
      if (data.toString().startsWith('42["system:ready"')) socket.send(packet);
    });
    await closed;
    t.pass(`closed: ${packet.toString().slice(0, 30)}`);
  }
  const early = openRaw(t, url);
  early.once('open', () => early.send('42["message","hi"]'));
  await once(early, 'close');
  await serves(t, url);
});

t.test('an event with too many levels is a bad frame, and five in a row end the connection', async (t) => {
  const { url } = await start(t);
  const socket = openRaw(t, url);
  const events: string[] = [];
  socket.on('message', (data: Buffer) => {
    events.push(data.toString());
    if (!data.toString().startsWith('42["system:ready"')) return;
    for (let n = 0; n < 5; n++) socket.send(`42["message",${'['.repeat(5_000)}${']'.repeat(5_000)}]`);
  });
  socket.once('open', () => socket.send('40'));
  await once(socket, 'close');
  const errors = events.filter((text) => text.startsWith('42["agent:error"'));
  t.equal(errors.length, 6, 'each is told, and then the end');
  t.match(errors[0], /ERR_BAD_FRAME.*100 levels/);
  t.match(errors[5], /"close":4400/);
});

t.test('pages of other origins are refused, and those of listen.origins may read the answers', async (t) => {
  const { url } = await start(t, { origins: ['https://app.example'] });
  t.equal((await ask(url, POLL, { headers: { origin: 'https://evil.example' } }))[0], 403);
  const foreign = openRaw(t, url, WS, { origin: 'https://evil.example' });
  const [, response] = (await once(foreign, 'unexpected-response')) as [unknown, { statusCode: number }];
  t.equal(response.statusCode, 403);
  const headers = { origin: 'https://app.example' };
  const answer = await fetch(`${url}/socket.io/?${POLL}`, { headers });
  t.equal(answer.headers.get('access-control-allow-origin'), 'https://app.example');
  t.match(answer.headers.get('x-request-id'), /./);
  await answer.text();
  const preflight = await fetch(`${url}/socket.io/?${POLL}`, { method: 'OPTIONS', headers });
  t.equal(preflight.status, 204);
  t.match(preflight.headers.get('access-control-allow-methods'), /POST/);
  const raw = connectTcp(Number(new URL(url).port));
  t.teardown(() => raw.destroy());
  raw.write(`GET /socket.io/?${POLL} HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: other\r\n\r\n`);
  await once(raw, 'close');
  t.pass('an ambiguous head is cut');
});

t.test('who has not said who it is counts as a stranger of its address, until it has', async (t) => {
  const { url } = await start(t, {
    limits: { perAddress: { pendingSockets: 4, requestsPerSecond: 20, openRequests: 32 } },
  });
  const sids = [await handshake(url), await handshake(url), await handshake(url)];
  const last = openRaw(t, url);
  await once(last, 'message');
  t.equal((await ask(url, POLL))[0], 429);
  await ask(url, `${POLL}&sid=${sids[0]}`, { method: 'POST', body: '40' });
  t.match((await ask(url, `${POLL}&sid=${sids[0]}`))[1], /^40/);
  t.equal((await ask(url, POLL))[0], 200, 'the first is no stranger any more');
});

t.test('a poller that takes nothing is cut when too much waits for it', async (t) => {
  const { url, agent, front } = await start(t, { limits: { maxUnsentBytes: 65_536 } });
  await poller(url);
  const session = [...agent.sessions.keys()][0]!;
  t.equal(front.counts().connections, 1);
  for (let n = 0; n < 5; n++) agent.emit(session, { type: 'text', turn: 1, block: n, text: 'x'.repeat(20_000) });
  await until('it is cut', () => front.counts().connections === 0, { timeoutMs: 30_000 });
  t.equal(front.hub.subscribers(session), 0);
});

t.test('events count to what their user may send', async (t) => {
  const { url } = await start(t, { limits: { maxBytesPerSecond: 1_000 } });
  const socket = openRaw(t, url);
  const refused = new Promise<string>((resolve) => {
    socket.on('message', (data: Buffer) => {
      const text = data.toString();
      if (text.startsWith('42["system:ready"')) socket.send(`42["message","${'x'.repeat(20_000)}"]`);
      if (text.startsWith('42["agent:error"')) resolve(text);
    });
  });
  socket.once('open', () => socket.send('40'));
  t.match(await refused, /ERR_TOO_MANY_REQUESTS.*retryAfterMs/);
});
