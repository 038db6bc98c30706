import t from 'tap';
import { modelAddress, modelHeaders } from '../../../src/shared/config-model.js';
import { ConfigError, parseConfig } from '../../../src/shared/config.js';

const accessOf = (env: Record<string, string>) => parseConfig({}, env).anthropic;

function problemsOf(env: Record<string, string>): string[] {
  try {
    parseConfig({}, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ path, message }) => `${path} ${message}`);
    throw error;
  }
  return [];
}

t.test('the address of a gateway is taken as other clients want it', async (t) => {
  const kinds: [given: string, address: string][] = [
    ['', 'https://api.anthropic.com'],
    ['https://gw.example', 'https://gw.example'],
    ['https://gw.example/', 'https://gw.example'],
    [' https://gw.example/v1\n', 'https://gw.example'],
    ['https://gw.example/v1/', 'https://gw.example'],
    ['https://gw.example/v1//', 'https://gw.example'],
    ['https://gw.example/v1/messages', 'https://gw.example'],
    ['https://gw.example/v1/messages/', 'https://gw.example'],
    ['http://gw.example:4000/anthropic/', 'http://gw.example:4000/anthropic'],
    ['http://gw.example:4000/anthropic/v1', 'http://gw.example:4000/anthropic'],
    ['https://gw.example/v1beta', 'https://gw.example/v1beta'],
    ['https://gw.example/api-v1', 'https://gw.example/api-v1'],
    ['https://gw.example/v1/proxy', 'https://gw.example/v1/proxy'],
  ];
  for (const [given, address] of kinds) t.equal(modelAddress(accessOf({ ANTHROPIC_BASE_URL: given })), address, given);
});

t.test('an address that cannot be one is a problem of the configuration', async (t) => {
  for (const given of [
    'gw.example',
    'localhost:4000',
    'ftp://gw.example',
    'https://',
    '/v1',
    'https://me:pw@gw.example',
    'https://gw.example/?key=1',
    'https://gw.example/#x',
  ]) {
    // prettier-ignore
    t.match(problemsOf({ ANTHROPIC_BASE_URL: given }), [/^ANTHROPIC_BASE_URL must/], given);
  }
});

t.test('a key goes as the SDK sends it, and to a gateway also as older clients did', async (t) => {
  const key = { ANTHROPIC_API_KEY: ' key\n' };
  t.same(modelHeaders(accessOf(key)), { authorization: 'Bearer key' });
  t.same(modelHeaders(accessOf({ ...key, ANTHROPIC_BASE_URL: 'https://api.anthropic.com/v1' })), {
    authorization: 'Bearer key',
  });
  t.same(modelHeaders(accessOf({ ...key, ANTHROPIC_BASE_URL: 'https://gw.example' })), {
    authorization: 'Bearer key',
    'x-api-key': 'key',
  });
});

t.test('a token goes as one, and gives way to a key', async (t) => {
  const token = { ANTHROPIC_AUTH_TOKEN: 'token', ANTHROPIC_BASE_URL: 'https://gw.example' };
  t.same(modelHeaders(accessOf(token)), { authorization: 'Bearer token' });
  t.match(modelHeaders(accessOf({ ...token, ANTHROPIC_API_KEY: 'key' })), { authorization: 'Bearer key' });
});

t.test('headers of the operator are added, and count before ours', async (t) => {
  const env = { ANTHROPIC_API_KEY: 'key', ANTHROPIC_CUSTOM_HEADERS: 'X-Team: a: b\r\n\nAuthorization: Basic xyz\n' };
  t.same(modelHeaders(accessOf(env)), { authorization: 'Basic xyz', 'x-team': 'a: b' });
});

t.test('a key or a header that no request could carry is a problem that does not print it', async (t) => {
  for (const env of [
    { ANTHROPIC_API_KEY: 'sk-two words' },
    { ANTHROPIC_AUTH_TOKEN: 'sk-ü' },
    { ANTHROPIC_CUSTOM_HEADERS: 'sk-without-a-colon' },
    { ANTHROPIC_CUSTOM_HEADERS: 'bad name: sk-x' },
    { ANTHROPIC_CUSTOM_HEADERS: 'X-Name: sk-ü' },
  ]) {
    const problems = problemsOf(env);
    t.match(problems, [new RegExp(`^${Object.keys(env)[0]} must`)]);
    t.notMatch(problems.join(), /sk-/);
  }
});
