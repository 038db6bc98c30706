/** Pinned tool definitions in the configuration and in the data folder. Main thread and command line. */
import { z } from 'zod';
import { PIN } from './tool-pins.js';

const pin = z.string().regex(PIN, 'must be a pin as `fairlead mcp pin SERVER --print` prints it');

/** Tool → pin, by server. */
export const pinsSchema = z.record(z.string(), z.record(z.string(), pin));

export const mcpPinsSchema = z
  .strictObject({
    onChange: z
      .enum(['ask', 'refuse'])
      .default('ask')
      .describe(
        'A tool that differs from its pin, or is new: ask = also where a rule allows it; refuse = it does not run',
      ),
    servers: pinsSchema
      .default({})
      .describe('Pins by server and tool; they outweigh those that `fairlead mcp pin` writes to the data folder'),
  })
  .prefault({});
