import t from 'tap';
import { ModelTraits } from '../../../../workers/agent/model/model-traits.js';

const BUDGET = { type: 'enabled', budget_tokens: 2048, display: 'summarized' };
const ADAPTIVE = { type: 'adaptive', display: 'summarized' };

const WAYS: [model: string, thinking: unknown, off: unknown][] = [
  ['claude-sonnet-5-5', ADAPTIVE, { type: 'disabled' }],
  ['claude-opus-5', ADAPTIVE, { type: 'disabled' }],
  ['claude-opus-4-6', ADAPTIVE, { type: 'disabled' }],
  ['us.anthropic.claude-haiku-5-5-20261001-v1:0', ADAPTIVE, { type: 'disabled' }],
  ['claude-opus-4-1-20250805', BUDGET, undefined],
  ['claude-sonnet-4-20250514', BUDGET, undefined],
  ['claude-sonnet-4-5@20250929', BUDGET, undefined],
  ['claude-3-7-sonnet-latest', BUDGET, undefined],
  ['claude-3-5-haiku-20241022', undefined, undefined],
  ['claude-2.1', undefined, undefined],
  ['qwen3-coder', BUDGET, undefined],
];

for (const [model, thinking, off] of WAYS) {
  t.test(`${model} is asked for thinking in the way that it takes, and for none with 0`, async (t) => {
    t.same(new ModelTraits(2048).of(model, 8192).thinking, thinking);
    t.same(new ModelTraits(0).of(model, 8192).thinking, off);
  });
}

t.test('a model that refuses one way is asked in the next, and at last for nothing', async (t) => {
  const traits = new ModelTraits(2048);
  const told: unknown[] = [];
  for (;;) {
    told.push(traits.of('new-model', 8192).thinking);
    if (!traits.learn('new-model', '"thinking.type.enabled" is not supported for this model')) break;
  }
  t.same(told, [BUDGET, { type: 'enabled', budget_tokens: 2048 }, ADAPTIVE, { type: 'adaptive' }, undefined]);
  t.same(traits.of('another', 8192).thinking, BUDGET, 'each model for itself');
});

t.test('a model that cannot be told to think nothing is told nothing', async (t) => {
  const traits = new ModelTraits(0);
  t.ok(traits.learn('claude-opus-5', 'thinking.type.disabled is not supported for this model'));
  t.equal(traits.of('claude-opus-5', 100).thinking, undefined);
});

t.test('thinking that stands in a message is no matter of the model', async (t) => {
  t.notOk(new ModelTraits(2048).learn('m', 'messages.1.content.0: `thinking` blocks cannot be modified'));
  t.notOk(new ModelTraits(2048).learn('m', 'tools.0: bad'));
  t.notOk(new ModelTraits(2048).learn('m', 'tools.0.custom.name: thinking'));
  t.notOk(new ModelTraits(2048).learn('m', "Invalid schema for function 'sequentialthinking'"));
});

t.test('a marker of the prompt cache that is refused is left out for that model, whatever part had it', async (t) => {
  for (const place of ['system.0', 'tools.2', 'messages.4.content.0.text']) {
    const traits = new ModelTraits(2048);
    const refusal = `${place}.cache_control: Extra inputs are not permitted`;
    t.ok(traits.learn('m', refusal));
    t.equal(traits.of('m', 100).uncached, true);
    t.equal(traits.of('other', 100).uncached, undefined);
    t.notOk(traits.learn('m', refusal), 'the same again is nothing new');
  }
});

t.test('the most tokens that a model writes are learned, and thinking that has no room then is left out', async (t) => {
  const traits = new ModelTraits(2048);
  const refusal = 'max_tokens: 8192 > 2000, which is the maximum allowed number of output tokens for old-model';
  t.ok(traits.learn('old-model', refusal));
  t.same(traits.of('old-model', 8192).maxTokens, 2000);
  t.not(traits.of('old-model', 8192).thinking?.type, 'enabled');
  t.notOk(traits.learn('old-model', refusal), 'the same again is nothing new');
});
