import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import t from 'tap';
import { FairleadError } from '../../../src/shared/errors.js';
import { pending } from '../../../src/shared/abort.js';
import { type Fixture, request, startFront } from './front-fixture.js';

const MESSAGE = JSON.stringify({ role: 'user', content: [{ type: 'text', text: 'x'.repeat(200_000) }] });

/** A history of so many pieces. `onPiece` may hold one back. */
function serve(
  { agent }: Fixture,
  pieces: number,
  onPiece: (index: number) => Promise<void> | void = () => undefined,
): void {
  agent.overrides.set('read-history', async (body) => {
    const { offset } = (body['place'] ?? { offset: 0 }) as { offset: number };
    await onPiece(offset);
    const bytes = Buffer.from(offset === 0 ? MESSAGE : `,${MESSAGE}`);
    const place = { at: 0, start: 0, generation: 0, clears: 0 };
    return { bytes, ...(offset + 1 < pieces && { next: { ...place, offset: offset + 1 } }) };
  });
}

async function open(url: string): Promise<IncomingMessage> {
  const asked = request(url).end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  answer.on('error', () => undefined);
  return answer;
}

t.test('a long history is streamed piece by piece, and others are answered between them', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const url = `${fixture.url}/v1/sessions/${fixture.agent.make('s')}/history`;
  const probes: number[] = [];
  serve(fixture, 50, async (index) => {
    if (index % 10 === 5) probes.push((await fetch(`${fixture.url}/healthz`)).status);
  });
  const { transcript } = (await (await fetch(url)).json()) as { transcript: unknown[] };
  t.equal(transcript.length, 50);
  t.strictSame(transcript[49], JSON.parse(MESSAGE));
  t.strictSame(probes, [200, 200, 200, 200, 200]);
  serve(fixture, 1);
  const short = await fetch(url);
  t.ok(short.headers.get('content-length'), 'a short one has a length');
  t.equal(((await short.json()) as { transcript: unknown[] }).transcript.length, 1);
  serve(fixture, 5);
  t.equal(await (await fetch(url, { method: 'HEAD' })).text(), '');
});

t.test('no piece is read before the reader has taken the ones before, and a reader that leaves ends it', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const url = `${fixture.url}/v1/sessions/${fixture.agent.make('s')}/history`;
  serve(fixture, 1_000);
  const slow = await open(url);
  slow.pause();
  // The others' requests go through the same loop: when they are answered, so would have been another piece.
  const asked = (): number => fixture.agent.calls.filter(({ name }) => name === 'read-history').length;
  for (let before = -1; before !== asked();) {
    before = asked();
    for (let other = 0; other < 20; other++) await (await fetch(`${fixture.url}/v1/sessions`)).text();
  }
  t.ok(asked() < 200, `${asked()} pieces of 1,000`);
  t.equal(fixture.front.counts().connections, 1);
  slow.destroy();
  while (fixture.front.counts().connections > 0) await (await fetch(`${fixture.url}/healthz`)).text();
});

t.test('a history that cannot be read is an error, or cuts the connection once the answer has begun', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const url = `${fixture.url}/v1/sessions/${fixture.agent.make('s')}/history`;
  for (const broken of [0, 3]) {
    serve(fixture, 10, (index) => {
      if (index === broken) throw new FairleadError('ERR_UNAVAILABLE', 'changed');
    });
    const answer = await fetch(url);
    if (broken === 0) t.equal(answer.status, 503);
    else await t.rejects(answer.text(), 'never a short list');
  }
});

t.test('a user reads two whole histories at a time, and GETs have a rate', async (t) => {
  const fixture = await startFront({ limits: { maxReadsPerSecond: 1 } });
  t.teardown(() => fixture.close());
  const url = `${fixture.url}/v1/sessions/${fixture.agent.make('s')}/history`;
  const held = pending<void>();
  serve(fixture, 3, () => held.promise);
  const two = [fetch(url), fetch(url)];
  await fixture.agent.asked('read-history', 2);
  const third = await fetch(url);
  t.equal(third.status, 429);
  t.ok(third.headers.get('retry-after'));
  held.resolve();
  for (const answer of two) t.equal(((await (await answer).json()) as { transcript: unknown[] }).transcript.length, 3);
  t.equal((await fetch(url)).status, 200);
  for (;;) {
    const answer = await fetch(`${fixture.url}/v1/sessions`);
    if (answer.status === 200) continue;
    t.equal(answer.status, 429);
    t.match(answer.headers.get('retry-after'), /^\d+$/);
    break;
  }
  t.equal(
    (await fetch(`${fixture.url}/v1/sessions`, { method: 'POST' })).status,
    201,
    'writes have limits of their own',
  );
});

t.test('a page is asked for by limit and before, and says where the next one begins', async (t) => {
  const fixture = await startFront();
  t.teardown(() => fixture.close());
  const url = `${fixture.url}/v1/sessions/${fixture.agent.make('s')}/history`;
  fixture.agent.overrides.set('read-history-page', () => ({ json: `[${MESSAGE}]`, first: 7, next: '7' }));
  t.strictSame(await (await fetch(`${url}?limit=1`)).json(), {
    transcript: [JSON.parse(MESSAGE)],
    first: 7,
    next: '7',
  });
  await fetch(`${url}?before=7`);
  t.match(await fixture.agent.asked('read-history-page', 2), { session: 's', before: 7, limit: 50 });
  for (const bad of ['before=-1', 'before=x', 'limit=0']) t.equal((await fetch(`${url}?${bad}`)).status, 400, bad);
});
