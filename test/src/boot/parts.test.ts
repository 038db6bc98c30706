import t from 'tap';
import { chooseParts } from '../../../src/boot/parts.js';
import { parseConfig } from '../../../src/shared/config.js';

const modelWith = (env: Record<string, string>) =>
  chooseParts(parseConfig({ sandbox: { driver: 'process' } }, env)).model;

t.test('a key or a token of a gateway is what makes the model a real one', async (t) => {
  t.equal(modelWith({}).kind, 'demo');
  t.equal(modelWith({ ANTHROPIC_BASE_URL: 'https://gw.example' }).kind, 'demo');
  for (const name of ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN'])
    t.equal(modelWith({ [name]: 'x' }).kind, 'anthropic');
});

t.test('the model is told with its address and its proxy, without a password', async (t) => {
  const env = { ANTHROPIC_AUTH_TOKEN: 'x', ANTHROPIC_BASE_URL: 'https://gw.example:8443/v1' };
  t.match(modelWith(env).describe, / at gw\.example:8443$/);
  const told = modelWith({ ...env, HTTPS_PROXY: 'http://me:secret@proxy:3128' }).describe;
  t.match(told, / at gw\.example:8443 through the proxy proxy:3128$/);
});
