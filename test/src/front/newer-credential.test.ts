import t from 'tap';
import type { Identified } from '../../../src/front/auth.js';
import { newerCredential } from '../../../src/front/newer-credential.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { personOf } from '../../helpers/people.js';

/** What a refresh comes to, and what is noted of it. */
async function refresh(found: Identified): Promise<{ came: Identified; noted: string[] }> {
  const noted: string[] = [];
  const judges = {
    auth: { identify: () => Promise.resolve(found) },
    strangers: { asked: (address: string) => void noted.push(`asked ${address}`) },
    logIns: {
      letIn: ({ user }: { user: string }, address: string) => void noted.push(`in ${user} ${address}`),
      refused: (_offered: object, { message }: FairleadError) => void noted.push(`refused: ${message}`),
    },
  };
  return { came: await newerCredential(judges, { user: 'ada', address: '::1' }, 'a-token'), noted };
}

t.test('a newer credential is recorded like a log-in, and one that is not good counts like a failed one', async (t) => {
  const ada = personOf('ada', { role: 'operator' });
  t.same(await refresh(ada), { came: ada, noted: ['in ada ::1'] });
  const { came, noted } = await refresh(personOf('bob'));
  t.match(came, { code: 'ERR_UNAUTHORIZED' });
  t.same(noted, ['asked ::1', 'refused: the token is another user’s']);
  const blocked = await refresh(new FairleadError('ERR_BLOCKED', 'this user is blocked'));
  t.match(blocked, { came: { code: 'ERR_BLOCKED' }, noted: ['asked ::1', 'refused: this user is blocked'] });
});

t.test('where it cannot be judged now nothing is noted', async (t) => {
  await t.rejects(refresh(new FairleadError('ERR_UNAVAILABLE', 'later')), { code: 'ERR_UNAVAILABLE' });
});
