/** The parts of the configuration that the front reads: where it listens, who may read the metrics, and its limits. Main thread and command line. */
import { z } from 'zod';
import ipaddr from 'ipaddr.js';
import { ms, positive, positiveMs } from './config-fields.js';
import { MAX_IMAGE_SIDE } from './image-facts.js';

const port = z.number().int().min(0).max(65535);

export const listenSchema = z
  .strictObject({
    host: z.string().min(1).default('127.0.0.1'),
    port: port.default(3000),
    hosts: z
      .array(z.string().regex(/^[a-z\d](?:[a-z\d.-]{0,251}[a-z\d])?$/i, 'a host name, without scheme and port'))
      .default([])
      .describe('Names that a request’s Host may have, beside addresses, localhost and the name of mcp.publicUrl'),
    tls: z
      .strictObject({ cert: z.string().min(1), key: z.string().min(1) })
      .optional()
      .describe(
        'PEM files: the certificate with those that lead to its root, and its key; read again when they change. Absent: plain HTTP',
      ),
    origins: z
      .array(z.url())
      .default([])
      .describe('Origins of web pages allowed beside the server’s own, as scheme://host[:port]'),
    trustedProxies: z
      .array(z.string().refine(isAddressOrRange, 'an address, or a range such as 10.0.0.0/8'))
      .default([])
      .describe('Proxies whose X-Forwarded-For says which address a request without credentials comes from'),
    drainTimeoutMs: ms.default(30_000),
    socketIo: z
      .boolean()
      .default(false)
      .describe('Serves clients of Socket.IO at /socket.io/, beside the raw WebSocket'),
  })
  .prefault({});

function isAddressOrRange(text: string): boolean {
  return ipaddr.isValid(text) || ipaddr.isValidCIDR(text);
}

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

export const limitsSchema = z
  .strictObject({
    maxFrameBytes: positive.default(1_048_576),
    maxBytesPerSecond: z
      .number()
      .int()
      .min(0)
      .default(1_048_576)
      .describe('What all clients of one user may send, 8 s of it at once; 0 = no limit'),
    maxReadsPerSecond: z
      .number()
      .int()
      .min(0)
      .default(50)
      .describe(
        'GETs of one user, replays by WebSocket and repeated messages among them, 8 s of it at once; 0 = no limit',
      ),
    perAddress: z
      .strictObject({
        pendingSockets: positive.default(1_024).describe('Sockets of one address that have sent no request yet'),
        requestsPerSecond: z
          .number()
          .int()
          .min(0)
          .default(20)
          .describe('Requests and failed logins of one address without credentials, 8 s of it at once; 0 = no limit'),
        openRequests: positive.default(32).describe('Requests of one address without credentials that are unanswered'),
      })
      .prefault({})
      .describe('Limits of who has not logged in, by address; of IPv6 by /64'),
    maxInFlight: positive.default(5),
    maxModelCalls: z
      .number()
      .int()
      .min(0)
      .default(0)
      .describe('Requests to the model that run at once; the others take turns, by user; 0 = no limit'),
    modelWaitMs: positiveMs
      .default(1_800_000)
      .describe('How long a turn waits for its turn at the model, and for an API that is over its rate limit'),
    maxSocketsPerUser: positive.default(20),
    maxFileTransfers: positive
      .default(4)
      .describe('Requests for files of workspaces, of one user, that are served at once'),
    maxConnections: positive.default(100_000),
    maxUnsentBytes: z.number().int().min(65_536).default(4_194_304),
    maxToolResultBytes: positive
      .default(262_144)
      .describe('Longest tool result that is kept and given to the model, without its images'),
    maxToolImageBytes: positive.default(8_388_608).describe('Base64 of the images of a tool result, all together'),
    maxImageSide: positive
      .max(MAX_IMAGE_SIDE)
      .default(1_568)
      .describe('Pixels of the longer side of an image for the model; larger ones are made smaller'),
    idleTimeoutMs: z.number().int().min(8_000).max(960_000).default(120_000),
  })
  .prefault({});
