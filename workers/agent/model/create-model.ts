/** The model that the configuration names. Runs in agent threads. */
import type { Config } from '../../../src/config.js';
import { createAnthropicModel } from './anthropic.js';
import { createDemoModel } from './demo.js';
import type { Model } from './model.js';

export function createModel(kind: Model['provider'], config: Config): Model {
  switch (kind) {
    case 'anthropic':
      return createAnthropicModel(config);
    case 'demo':
      return createDemoModel();
  }
}
