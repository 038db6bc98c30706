/** What looks like a secret does not stay, and what does not look like one does. */
import t from 'tap';
import { redact, REDACTED, redactText } from '../../../src/shared/redact.js';

// In pieces, so that no scanner takes this file for a leak.
const KEY = ['AKIA', 'ABCDEFGH23456789'].join('');
const JWT = ['eyJhbGciOiJIUzI1NiJ9', 'eyJzdWIiOiJhZGEifQ', 'c2lnbmF0dXJl'].join('.');
const PEM = ['-----BEGIN', 'RSA PRIVATE KEY-----\nMIIBVgIBADANBg\n-----END', 'RSA PRIVATE KEY-----'].join(' ');

t.test('texts that hold a secret lose it, and keep their rest', async (t) => {
  const secrets = [
    `flt_${'x'.repeat(43)}`,
    `sk-ant-${'a1'.repeat(20)}`,
    `ghp_${'Z9'.repeat(18)}`,
    `xoxb-${'1234567890'.repeat(2)}`,
    KEY,
    JWT,
    PEM,
  ];
  for (const secret of secrets) {
    t.equal(redactText(`before ${secret} after`), `before ${REDACTED} after`, secret.slice(0, 6));
  }
  t.equal(redactText(`a session-${JWT} b`), `a ${REDACTED} b`);
  t.equal(redactText('Authorization: Bearer abcdefgh12345'), `Authorization: Bearer ${REDACTED}`);
  t.equal(redactText('postgres://ada:hunter2@db.example/x'), `postgres://ada:${REDACTED}@db.example/x`);
  t.equal(redactText('curl -d "api_key=0123456789" x'), `curl -d "api_key=${REDACTED}" x`);
  t.equal(redactText('PASSWORD: hunter2'), `PASSWORD: ${REDACTED}`);
});

t.test('fields that are named as secrets lose their value, on every level', async (t) => {
  const shown = redact({
    password: 'x',
    'api-key': 'x',
    clientSecret: 'x',
    accessToken: 'x',
    pin: 1234,
    nested: [{ Authorization: 'x', cookie: 'x', kept: 'word' }],
  });
  t.same(shown, {
    password: REDACTED,
    'api-key': REDACTED,
    clientSecret: REDACTED,
    accessToken: REDACTED,
    pin: REDACTED,
    nested: [{ Authorization: REDACTED, cookie: REDACTED, kept: 'word' }],
  });
});

t.test('what stands below the name of a secret is a secret, whatever it is', async (t) => {
  const shown = redact({
    secret: { inner: 'x' },
    credentials: ['x', { user: 'ada', deep: [['x']] }],
    tokens: ['x'],
    password2: 12_345_678,
    Passwort: 'x',
    contraseña: 'x',
    body: '{"secret": {"inner": "x"}, "kept": [1, "{\\"auth\\": [\\"x\\"]}"]}',
    kept: { password: false, token: null, tokens: 12, cookie: undefined },
  });
  t.same(shown, {
    secret: REDACTED,
    credentials: REDACTED,
    tokens: REDACTED,
    password2: REDACTED,
    Passwort: REDACTED,
    contraseña: REDACTED,
    body: JSON.stringify({ secret: REDACTED, kept: [1, JSON.stringify({ auth: REDACTED })] }),
    kept: { password: false, token: null, tokens: 12, cookie: undefined },
  });
});

t.test('commands and addresses lose the secret that a flag or a parameter names', async (t) => {
  for (const [before, secret, after] of [
    ['tool --token ', 'tok3nsecret', ' --verbose'],
    ['tool --api-key "', 'tok3nsecret', '" x'],
    ['mysql -u ada -h db -p', 'hunter2', ' shop'],
    ['mysqldump -p', 'hunter2', ' shop'],
    ['sshpass -p ', 'hunter2', ' ssh ada@host'],
    ['curl -u ada:', 'hunter2', ' https://x.example'],
    ['curl --user "ada:', 'hunter2', '" https://x.example'],
    ['https://x.example/b?sv=1&sig=', 'aBc%2Fd', '&se=2'],
    ['https://x.example/b?X-Amz-Signature=', 'abcdef', ''],
    ['Passwort: ', 'geheim1', ''],
  ] as const) {
    t.equal(redactText(before + secret + after), before + REDACTED + after);
  }
  for (const kept of [
    'mkdir -pv a/b/c',
    'docker run -p8080:80 -u 1000 x',
    'tool --token-file /run/token --password-stdin',
    'tool --token --verbose',
    'https://x.example/?signal=5',
  ]) {
    t.equal(redactText(kept), kept);
  }
});

t.test('what is no secret stays as it is', async (t) => {
  const harmless = {
    maxTokens: 8192,
    secretary: 'Ada',
    path: '/workspace/tokens.txt',
    sql: 'SELECT author, passage FROM books',
    url: 'https://example.org/a:b@c',
    author: 'Bob',
    json: '{ "a": [1, 2] }',
    notJson: '{ "a": ',
    keys: ['a', null, true, 3],
  };
  t.same(redact(harmless), harmless);
});

t.test('a megabyte of anything takes no second', async (t) => {
  const texts = [
    'a-'.repeat(500_000),
    'eyJ'.repeat(333_000),
    '://a:'.repeat(200_000),
    'password '.repeat(110_000),
    ' --token'.repeat(120_000),
    'mysql '.repeat(160_000),
    'mysql -u a -p '.repeat(70_000),
    ' -u a'.repeat(200_000),
    '?sig='.repeat(200_000),
    '['.repeat(1_000_000),
    '-----BEGIN PRIVATE KEY-----'.repeat(38_000),
  ];
  for (const text of texts) {
    const startedAt = process.cpuUsage();
    redact(text);
    const { user } = process.cpuUsage(startedAt);
    t.ok(user < 1_000_000, `${text.slice(0, 12)}…: ${Math.round(user / 1000)} ms`);
  }
});

t.test('a long row of beginnings of secrets is looked at once', async (t) => {
  // Looked at from each of its beginnings, it would take minutes.
  for (const row of ['eyJaaaaaaaa-', 'eyJaaaaaaaa.', 'bearer ', 'sk-', '://a:', '-----BEGIN PRIVATE KEY-----']) {
    const text = row.repeat(100_000);
    t.ok(redactText(text).length <= text.length, row);
  }
});
