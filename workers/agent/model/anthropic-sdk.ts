/**
 * The Anthropic SDK, by require: half the time of an import, and synchronous. Node 20 never closes the module files that an
 * import is opening when its thread dies: of this SDK they were sixty each time. Agent threads.
 */
import type * as Sdk from '@anthropic-ai/sdk';
import type * as Streaming from '@anthropic-ai/sdk/streaming';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

const sdk = require('@anthropic-ai/sdk') as typeof Sdk;
const streaming = require('@anthropic-ai/sdk/streaming') as typeof Streaming;

export const { default: Anthropic, APIConnectionError, APIConnectionTimeoutError, APIError } = sdk;
export const { Stream } = streaming;
