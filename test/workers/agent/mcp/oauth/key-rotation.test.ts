import t from 'tap';
import { loginName } from '../../../../../workers/agent/mcp/oauth/records.js';
import { LoginSealer } from '../../../../../workers/agent/mcp/oauth/seal.js';
import { oauthServer, storeDir, TestHost, type Person } from './oauth-kit.js';

const nobodyIsAsked: Person = () => Promise.reject(new Error('nobody should be asked'));

t.test(
  'while both keys are there, a login is sealed with the new one when it is used, and then the old one may go',
  async (t) => {
    const as = await oauthServer(t);
    const dir = await storeDir(t);
    const [older, newer] = ['22'.repeat(32), '33'.repeat(32)];
    const first = await TestHost.start(t, { url: as.url, dir, secretKeys: older });
    await first.call('alice');
    await first.call('bob');
    await first.close();
    const both = await TestHost.start(t, { url: as.url, dir, secretKeys: `${newer},${older}` });
    t.equal(await both.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice');
    await both.close();
    const last = await TestHost.start(t, { url: as.url, dir, secretKeys: newer });
    t.equal(await last.call('alice', 'whoami', nobodyIsAsked), 'whoami: Alice');
    await t.rejects(last.call('bob', 'whoami', nobodyIsAsked), { code: 'ERR_MCP', message: /FAIRLEAD_SECRET_KEYS/ });
  },
);

t.test(
  'a login that another server renews is not sealed anew meanwhile, or the new tokens would be lost',
  async (t) => {
    const as = await oauthServer(t);
    const [older, newer] = ['22'.repeat(32), '33'.repeat(32)] as const;
    const host = await TestHost.start(t, { url: as.url, secretKeys: `${newer},${older}` });
    await host.call('alice');
    const name = loginName('alice', 'remote');
    const both = new LoginSealer([newer, older]);
    const login = JSON.parse(both.open(name, (await host.store.readSecret(name))!.bytes).text) as object;
    const sealedBefore = async (renewingUntil: number) => {
      const text = JSON.stringify({ ...login, renewingUntil });
      return host.store.writeSecret(name, new LoginSealer([older]).seal(name, text));
    };
    const version = await sealedBefore(Date.now() + 60_000);
    t.match(await host.token({ user: 'alice', server: 'remote' }), { token: /\S/ });
    t.equal((await host.store.readSecret(name))?.version, version);
    await sealedBefore(Date.now() - 1);
    t.match(await host.token({ user: 'alice', server: 'remote' }), { token: /\S/ });
    t.equal(both.open(name, (await host.store.readSecret(name))!.bytes).isOld, false);
  },
);
