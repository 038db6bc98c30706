/** An answer that its reader takes piece by piece, over a response in memory. */
import pino from 'pino';
import t from 'tap';
import { Exchange, type ResponseSocket } from '../../../src/front/http.js';
import { LongAnswer } from '../../../src/front/long-answer.js';
import { Presence } from '../../../src/front/presence.js';
import { CLOSE } from '../../../src/shared/protocol.js';
import { HEAD } from './front-fixture.js';

const person = { user: 'ada', role: 'user', groups: [], credential: 'tok_1' } as const;

/** `takes`: whether the reader takes what is written. */
function exchangeOf(takes: () => boolean) {
  const done: string[] = [];
  let aborted: (() => void) | undefined;
  let writable: ((offset: number) => boolean) | undefined;
  const res: ResponseSocket = {
    writeStatus: (status) => done.push(status),
    writeHeader: () => undefined,
    write: (chunk) => {
      done.push(String(chunk));
      return takes();
    },
    tryEnd: () => [true, true],
    getWriteOffset: () => 0,
    end: () => done.push('end'),
    endWithoutBody: () => done.push('end'),
    close: () => {
      done.push('cut');
      aborted?.();
    },
    pause: () => undefined,
    resume: () => undefined,
    onWritable: (handler) => (writable = handler),
    onAborted: (handler) => (aborted = handler),
    onData: () => undefined,
    cork: (write) => write(),
  };
  const exchange = new Exchange(res, HEAD, pino({ level: 'silent' }));
  return { exchange, done, writable: () => writable?.(0), leave: () => aborted?.() };
}

const presenceOf = (): Presence => new Presence({ limits: { maxSocketsPerUser: 1, maxConnections: 10 } });

t.test('a reader that is behind gets the next piece when it has caught up', async (t) => {
  let takes = false;
  const { exchange, done, writable } = exchangeOf(() => takes);
  const presence = presenceOf();
  const answer = LongAnswer.enter(presence, exchange, person);
  answer.begin([]);
  const first = answer.write('one');
  takes = true;
  writable();
  await first;
  await answer.write('two');
  answer.end();
  t.same(done, ['200 OK', 'one', 'two', 'end']);
  t.equal(presence.size, 0);
});

t.test(
  'a reader that takes nothing for too long is an error; one that leaves is none, and frees its place',
  async (t) => {
    const slow = exchangeOf(() => false);
    const presence = presenceOf();
    const answer = LongAnswer.enter(presence, slow.exchange, person, 20);
    t.throws(() => LongAnswer.enter(presence, slow.exchange, person), { code: 'ERR_TOO_MANY_SOCKETS' });
    answer.begin([]);
    await t.rejects(answer.write('one'), { code: 'ERR_UNAVAILABLE', message: /taken nothing/ });
    slow.exchange.cut();
    t.equal(presence.size, 0);
    const gone = exchangeOf(() => false);
    const other = LongAnswer.enter(presence, gone.exchange, person);
    other.begin([]);
    const written = other.write('one');
    gone.leave();
    await written;
    t.equal(presence.size, 0);
  },
);

t.test('the end of its credential cuts an answer that has begun, and is the answer before', async (t) => {
  const presence = presenceOf();
  const waiting = exchangeOf(() => true);
  LongAnswer.enter(presence, waiting.exchange, person);
  presence.closeAll(CLOSE.unauthorized, 'the token was revoked');
  t.match(waiting.done, ['401 Unauthorized', 'end']);
  const begun = exchangeOf(() => true);
  LongAnswer.enter(presence, begun.exchange, person).begin([]);
  presence.closeAll(CLOSE.unauthorized, 'the token was revoked');
  t.same(begun.done, ['200 OK', 'cut']);
});
