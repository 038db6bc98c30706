import t from 'tap';
import { CredentialEnds } from '../../../src/front/credential-ends.js';
import type { Subscriber } from '../../../src/front/hub.js';
import { personOf } from '../../helpers/people.js';

interface Held extends Subscriber {
  person: Subscriber['person'];
  closed: (string | number)[];
}

function held(expiresAt?: number): Held {
  const subscriber: Held = {
    open: true,
    user: 'ada',
    person: personOf('ada', expiresAt === undefined ? {} : { expiresAt }),
    seq: 0,
    closed: [],
    send: () => undefined,
    gone: (code, reason) => subscriber.closed.push(code, reason),
  };
  return subscriber;
}

/** A clock that the test sets. */
function start(): { clock: { now: number }; ends: CredentialEnds; enter: (...all: Held[]) => void } {
  const clock = { now: 1_000 };
  const present = new Set<Subscriber>();
  const ends = new CredentialEnds(present, () => clock.now);
  const enter = (...all: Held[]): void => {
    for (const each of all) {
      present.add(each);
      ends.note(each);
    }
  };
  return { clock, ends, enter };
}

t.test('each credential ends what stands on it when its time has come, and nothing else', async (t) => {
  const { clock, ends, enter } = start();
  const [late, early, never, middle] = [held(9_000), held(2_000), held(), held(5_000)];
  enter(late, early, never, middle);
  const closed = (): boolean[] => [early, middle, late, never].map((each) => each.closed.length > 0);
  ends.check();
  t.same(closed(), [false, false, false, false]);
  clock.now = 2_000;
  ends.check();
  t.same(closed(), [true, false, false, false]);
  t.same(early.closed, [4401, 'the credential has ended']);
  clock.now = 4_999;
  ends.check();
  t.same(closed(), [true, false, false, false]);
  clock.now = 90_000;
  ends.check();
  t.same(closed(), [true, true, true, false], 'a clock that jumps ahead ends all that are over');
});

t.test('a newer credential counts from then on, whether it ends later, sooner or never', async (t) => {
  const { clock, ends, enter } = start();
  const [longer, shorter, endless] = [held(2_000), held(8_000), held(2_000)];
  enter(longer, shorter, endless);
  longer.person = personOf('ada', { expiresAt: 6_000 });
  shorter.person = personOf('ada', { expiresAt: 3_000 });
  endless.person = personOf('ada');
  for (const each of [longer, shorter, endless]) ends.note(each);
  clock.now = 2_500;
  ends.check();
  t.same([longer.closed, shorter.closed, endless.closed].flat(), []);
  clock.now = 3_000;
  ends.check();
  t.same([longer.closed.length, shorter.closed.length], [0, 2]);
  clock.now = 6_000;
  ends.check();
  t.same([longer.closed.length, endless.closed.length], [2, 0]);
});

t.test('there is one timer for all, and none while no credential ends', async (t) => {
  const { clock, ends, enter } = start();
  enter(held(), held());
  t.ok(ends.idle);
  enter(held(2_000), held(3_000));
  t.notOk(ends.idle);
  clock.now = 3_000;
  ends.check();
  t.ok(ends.idle);
  enter(held(4_000));
  t.notOk(ends.idle);
  clock.now = 4_000;
  ends.check();
  t.ok(ends.idle);
});

t.test('a look at ten thousand sockets, of which none has ended, takes no time', async (t) => {
  const { clock, ends, enter } = start();
  enter(...Array.from({ length: 10_000 }, (_, index) => held(10_000 + index)));
  clock.now = 9_999;
  const begun = performance.now();
  for (let look = 0; look < 1_000; look++) ends.check();
  t.ok(performance.now() - begun < 5_000, 'a thousand looks, which are seven minutes of them');
});
