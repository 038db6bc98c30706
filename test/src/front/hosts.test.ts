import t from 'tap';
import { Hosts, namesOf } from '../../../src/front/hosts.js';
import { parseConfig } from '../../../src/shared/config.js';
import { otherPort, startFront, statusWithHost } from './front-fixture.js';

const REFUSED = { code: 'ERR_FORBIDDEN_ORIGIN' };

t.test('with tokens a request may name an address, localhost, or a name of the configuration', async (t) => {
  const hosts = new Hosts({ names: ['AI.example.org'], loopbackOnly: false, port: () => 3000 });
  for (const host of ['10.1.2.3', '10.1.2.3:8080', '[::1]:3000', '[fd00::1]', 'localhost', 'localhost:9']) {
    t.equal(hosts.refusal(host), undefined, host);
  }
  for (const host of ['ai.example.org', 'ai.example.org:443', 'Ai.Example.Org']) {
    t.equal(hosts.refusal(host), undefined, host);
  }
  for (const host of [
    '',
    'evil.test',
    'evil.test:3000',
    '10.1.2.3.evil.test',
    'localhost.evil.test',
    '[evil]',
    'a:b:c',
  ]) {
    t.match(hosts.refusal(host), REFUSED, host);
  }
});

t.test('without tokens only this machine’s own names with its port are served, and configured names', async (t) => {
  const hosts = new Hosts({ names: ['ai.example.org'], loopbackOnly: true, port: () => 3000 });
  for (const host of ['localhost:3000', '127.0.0.1:3000', '127.9.9.9:3000', '[::1]:3000', 'ai.example.org']) {
    t.equal(hosts.refusal(host), undefined, host);
  }
  for (const host of ['localhost', '127.0.0.1:3001', '10.0.0.1:3000', 'evil.test:3000', '']) {
    t.match(hosts.refusal(host), REFUSED, host);
  }
});

t.test('the names are those of listen.hosts, mcp.publicUrl, listen.origins and listen.host', async (t) => {
  const listen = { hosts: ['a.test'], origins: ['https://b.test:8443'], host: 'localhost' };
  const mcp = { publicUrl: 'https://c.test/fairlead' };
  t.strictSame(namesOf(parseConfig({ listen, mcp }, {})), ['a.test', 'b.test', 'c.test', 'localhost']);
  t.strictSame(namesOf(parseConfig({}, {})), [], 'an address is no name');
  t.strictSame(namesOf(parseConfig({ listen: { origins: ['app:x', 'http://10.0.0.1'] } }, {})), [], 'nor is nothing');
  t.throws(() => parseConfig({ listen: { hosts: ['https://a.test'] } }, {}), { code: 'ERR_CONFIG' });
});

t.test('an unknown Host gets 403 on every route, health and the WebSocket too', async (t) => {
  const fixture = await startFront({
    tokens: { ann: 'token-a' },
    listen: { hosts: ['ai.example.org'] },
    browsers: { localToken: 'x' },
  });
  t.teardown(() => fixture.close());
  const headers = { authorization: 'Bearer token-a' };
  const statusOf = (method: string, path: string, host: string): Promise<number> =>
    statusWithHost(fixture.url + path, { host, method, headers });
  for (const { method, path } of [...fixture.front.routes, { method: 'GET', path: '/v1/ws' }]) {
    t.equal(await statusOf(method, path.replaceAll(/:\w+/g, 'x'), 'evil.test'), 403, `${method} ${path}`);
  }
  for (const host of ['ai.example.org', new URL(otherPort(fixture)).host]) {
    t.equal(await statusOf('GET', '/healthz', host), 200, host);
    t.equal(await statusOf('GET', '/v1/sessions', host), 200, host);
  }
  t.strictSame(
    fixture.agent.calls.map(({ name }) => name),
    ['list-sessions', 'list-sessions'],
  );
});
