import t from 'tap';
import type { Subscriber } from '../../../src/front/hub.js';
import { Presence } from '../../../src/front/presence.js';
import { personOf } from '../../helpers/people.js';

const subscriber = (): Subscriber => ({
  open: true,
  user: 'ann',
  person: personOf('ann'),
  seq: 0,
  send: () => undefined,
  gone: () => undefined,
});

t.test('a user who closes one of several connections may open one more, and no second one', async (t) => {
  const presence = new Presence({ limits: { maxSocketsPerUser: 2, maxConnections: 3 } });
  const [first, second, third] = [subscriber(), subscriber(), subscriber()];
  t.equal(presence.enter('ann', first), undefined);
  t.equal(presence.enter('ann', second), undefined);
  t.match(presence.enter('ann', third), { code: 'ERR_TOO_MANY_SOCKETS' });
  presence.leave('ann', third); // it was refused: nothing to leave
  t.equal(presence.size, 2);
  presence.leave('ann', first);
  presence.leave('ann', first);
  t.equal(presence.size, 1);
  t.equal(presence.enter('ann', third), undefined);
  t.match(presence.enter('ann', subscriber()), { code: 'ERR_TOO_MANY_SOCKETS' });
  t.equal(presence.enter('bob', subscriber()), undefined, 'another user has a limit of their own');
  t.match(presence.enter('bob', subscriber()), { code: 'ERR_UNAVAILABLE' }, 'all users have one together');
});
