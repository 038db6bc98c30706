/** The model that the configuration names. Runs in agent threads. */
import type { Config } from '../../../src/shared/config.js';
import { createDemoModel } from './demo.js';
import type { Model } from './model.js';

export function createModel(kind: Model['provider'], config: Config): Model {
  switch (kind) {
    case 'anthropic':
      return createLater(config);
    case 'demo':
      return createDemoModel();
  }
}

/** Its SDK is a quarter of what a thread loads: nobody who only comes back waits for it. It is loaded once the thread serves. */
function createLater(config: Config): Model {
  let loading: Promise<Model> | undefined;
  const load = (): Promise<Model> => {
    loading ??= import('./anthropic.js').then(({ createAnthropicModel }) => createAnthropicModel(config));
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
