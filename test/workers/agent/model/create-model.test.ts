import t from 'tap';
import { createModel } from '../../../../workers/agent/model/create-model.js';
import { configFor } from './streams.js';

t.test('the model is the one that the kind names', async (t) => {
  const config = configFor('http://127.0.0.1:9');
  t.equal(createModel('anthropic', config).provider, 'anthropic');
  t.equal(createModel('demo', config).provider, 'demo');
});
