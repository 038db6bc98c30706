/** The parts of the configuration that the front reads: where it listens, and who may read the metrics. Main thread and command line. */
import { z } from 'zod';
import { ms } from './config-fields.js';

const port = z.number().int().min(0).max(65535);

export const listenSchema = z
  .strictObject({
    host: z.string().min(1).default('127.0.0.1'),
    port: port.default(3000),
    hosts: z
      .array(z.string().regex(/^[a-z\d](?:[a-z\d.-]{0,251}[a-z\d])?$/i, 'a host name, without scheme and port'))
      .default([])
      .describe('Names that a request’s Host may have, beside addresses, localhost and the name of mcp.publicUrl'),
    origins: z
      .array(z.url())
      .default([])
      .describe('Origins of web pages allowed beside the server’s own, as scheme://host[:port]'),
    drainTimeoutMs: ms.default(30_000),
  })
  .prefault({});

export const metricsSchema = z
  .strictObject({
    listen: z
      .strictObject({ host: z.string().min(1).default('127.0.0.1'), port: port.default(9464) })
      .optional()
      .describe('A listener for /metrics alone; absent = /metrics is on the users’ listener, with the token'),
    tokenSha256: z
      .string()
      .regex(/^(?:[\da-f]{64})?$/, 'the SHA-256 of the scrape token, 64 hex digits (`fairlead token NAME` prints it)')
      .default('')
      .describe('Lets whoever has this token read /metrics; empty = nobody, but for those who reach metrics.listen'),
  })
  .prefault({});
