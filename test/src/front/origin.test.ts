import t from 'tap';
import { Origins } from '../../../src/front/origin.js';

const origins = new Origins({ origins: ['https://app.example.org'], loopbackOnly: false, port: () => 3000 });

t.test('only a listed origin may read answers from another page', async (t) => {
  t.equal(
    new Map(origins.corsHeaders('https://app.example.org')).get('Access-Control-Allow-Origin'),
    'https://app.example.org',
  );
  t.same(origins.corsHeaders('https://other.example.org'), []);
  t.same(origins.corsHeaders('https://app.example.org:8443'), []);
  t.same(origins.corsHeaders(''), []);
});
