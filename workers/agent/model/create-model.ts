/** Creates the model that the configuration names. Agent threads. */
import type { Config } from '../../../src/shared/config.js';
import { createDemoModel } from './demo.js';
import type { Model } from './model.js';
import type { ModelHealth } from './model-health.js';

export function createModel(kind: Model['provider'], config: Config, health?: ModelHealth): Model {
  switch (kind) {
    case 'anthropic':
      return createLater(config, health);
    case 'demo':
      return createDemoModel();
  }
}

/** The SDK is a quarter of a thread's code, so it loads after the thread serves: reconnecting clients do not wait for it. */
function createLater(config: Config, health: ModelHealth | undefined): Model {
  let loading: Promise<Model> | undefined;
  const load = (): Promise<Model> => {
    loading ??= import('./anthropic.js').then(({ createAnthropicModel }) =>
      createAnthropicModel(config, { ...(health && { health }) }),
    );
    return loading;
  };
  return {
    provider: 'anthropic',
    warmUp: async () => void (await load()),
    async *stream(request, signal) {
      yield* (await load()).stream(request, signal);
    },
  };
}
