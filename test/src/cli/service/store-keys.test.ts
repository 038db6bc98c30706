import { createClient } from 'redis';
import t, { type Test } from 'tap';
import { lookAtKeys, removeKeys } from '../../../../src/cli/service/store-keys.js';
import { startRedis } from '../../../helpers/redis.js';

const OURS = '0123456789abcdef';
const OTHER = 'fedcba9876543210';
const redis = await startRedis();
t.teardown(() => redis.stop());
let database = 0;

/** A database of its own with these keys, each with the owner of its row; '' for a key that is no row. */
async function filled(t: Test, owners: Record<string, string>) {
  const url = `${redis.url.replace(/\/\d*$/, '')}/${++database}`;
  const client = createClient({ url });
  await client.connect();
  t.teardown(() => client.destroy());
  for (const [key, owner] of Object.entries(owners)) {
    if (owner === '') await client.set(key, 'x');
    else await client.hSet(key, 'owner', owner);
  }
  return { client, url };
}

const row = (session: string): string => `fairlead:{${session}}:row`;

t.test('keys that are all of this server are counted, and removed from their database alone', async (t) => {
  const neighbour = await filled(t, { [row('a')]: OURS });
  const { client, url } = await filled(t, { [row('a')]: OURS, 'fairlead:user:ada': '', 'other:key': '' });
  t.same(await lookAtKeys(url, OURS), { address: url, count: 2 });
  t.equal(await client.dbSize(), 3, 'a look changes nothing');
  t.match(await removeKeys(url, OURS), { count: 2, kept: undefined });
  t.same(await client.keys('*'), ['other:key']);
  t.equal(await neighbour.client.dbSize(), 1);
  t.equal(await lookAtKeys(url, OURS), undefined, 'none is left');
});

t.test('keys are kept when another server has some, when nobody can tell, and when they are elsewhere', async (t) => {
  const kept = async (owners: Record<string, string>, instance: string | undefined, why: RegExp): Promise<void> => {
    const { client, url } = await filled(t, owners);
    t.match(await lookAtKeys(url, instance), { kept: why });
    t.match(await removeKeys(url, instance), { kept: why });
    t.equal(await client.dbSize(), Object.keys(owners).length, why.source);
  };
  await kept({ [row('a')]: OURS, [row('b')]: OTHER }, OURS, /another server/);
  await kept({ [row('a')]: OURS, [`fairlead:due:${OTHER}`]: '' }, OURS, /another server/);
  await kept({ 'fairlead:sessions': '' }, OURS, /nothing in them says/);
  await kept({ [row('a')]: OURS }, undefined, /does not say which server/);
  const { client, url } = await filled(t, { [row('a')]: OURS });
  await client.zAdd('fairlead:quota-servers', { score: Date.now(), value: `${OTHER}#run` });
  t.match(await removeKeys(url, OURS), { kept: /another server/ });
  t.match(await lookAtKeys('redis://:secret@redis.example.org/3', OURS), {
    address: 'redis://redis.example.org/3',
    kept: /another machine/,
  });
});

t.test('a Redis that does not answer keeps its keys, and its password is in no word of it', async (t) => {
  const found = await removeKeys('redis://:s3cret@127.0.0.1:1', OURS);
  t.match(found, { kept: /does not answer/ });
  t.notMatch(JSON.stringify(found), 's3cret');
  t.equal(await lookAtKeys('', OURS), undefined, 'there is none');
});
