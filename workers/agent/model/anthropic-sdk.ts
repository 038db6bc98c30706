/**
 * Loads the Anthropic SDK by require, which is synchronous and takes half the time of an import. When a thread dies during an
 * import, Node 20 never closes the module files that it was opening: sixty for this SDK. Agent threads.
 */
import type * as Sdk from '@anthropic-ai/sdk';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

const sdk = require('@anthropic-ai/sdk') as typeof Sdk;

export const { default: Anthropic, APIConnectionError, APIConnectionTimeoutError, APIError } = sdk;
