import t from 'tap';
import { parseEndpoint } from '../../../src/cli/endpoint.js';

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
