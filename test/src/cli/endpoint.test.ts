import t from 'tap';
import { parseEndpoint, safeEndpoint } from '../../../src/cli/endpoint.js';

t.test('http, https, ws, wss and a bare host lead to both addresses', async (t) => {
  const local = { http: 'http://127.0.0.1:3000', ws: 'ws://127.0.0.1:3000/v1/ws' };
  for (const text of ['http://127.0.0.1:3000', 'ws://127.0.0.1:3000/', '127.0.0.1:3000', 'ws://127.0.0.1:3000/v1/ws']) {
    t.strictSame(parseEndpoint(text), local, text);
  }
  const behind = { http: 'https://ai.example.org/fairlead', ws: 'wss://ai.example.org/fairlead/v1/ws' };
  for (const text of ['https://ai.example.org/fairlead/', 'wss://ai.example.org/fairlead/v1/ws']) {
    t.strictSame(parseEndpoint(text), behind, text);
  }
  t.equal(parseEndpoint('localhost:3000').http, 'http://localhost:3000');
  t.equal(parseEndpoint('[::1]:3000').ws, 'ws://[::1]:3000/v1/ws');
});

t.test('what is no address, and credentials in it, are refused', async (t) => {
  for (const text of ['ftp://host', 'http://', 'http://user:secret@host', 'http://host/?token=x', '']) {
    t.throws(() => parseEndpoint(text), { code: 'ERR_CONFIG' }, text);
  }
});

t.test('a token crosses a network only by TLS, unless the user wants it otherwise', async (t) => {
  const token = 'flt_secret';
  for (const url of ['http://ai.example.org', 'ai.example.org:3000', 'ws://10.0.0.1', 'http://[2001:db8::1]']) {
    t.throws(() => safeEndpoint({ url, token, insecure: false }), { code: 'ERR_CONFIG' }, url);
    t.ok(safeEndpoint({ url, token, insecure: true }));
    t.ok(safeEndpoint({ url, token: undefined, insecure: false }));
  }
  for (const url of [
    'https://ai.example.org',
    'wss://ai.example.org',
    'localhost:3000',
    '127.0.0.1',
    'http://[::1]:3000',
  ]) {
    t.ok(safeEndpoint({ url, token, insecure: false }), url);
  }
});
