/** The part of the configuration that says what the audit log keeps, where, and what happens when it cannot. Main thread and command line. */
import { z } from 'zod';
import { positiveMs } from './config-fields.js';
import { isLoopbackHost } from './config-oidc.js';

const MIN_FILE_BYTES = 65_536;

export const auditSchema = z
  .strictObject({
    enabled: z.boolean().default(true),
    sync: z
      .enum(['each', 'second'])
      .default('second')
      .describe(
        'each: a tool runs only once its entry is on the disk; second: entries are there at most a second later',
      ),
    arguments: z
      .enum(['digest', 'full'])
      .default('digest')
      .describe('What is kept of a tool’s arguments: their SHA-256, or themselves without what looks like a secret'),
    onFailure: z
      .enum(['refuse', 'continue'])
      .default('refuse')
      .describe('When the log cannot be written: refuse work until it can, or go on and count what is missing'),
    maxFileBytes: z
      .number()
      .int()
      .min(MIN_FILE_BYTES)
      .default(67_108_864)
      .describe('A new file begins then, and each day (UTC)'),
    keepDays: z
      .number()
      .int()
      .min(0)
      .max(36_500)
      .default(0)
      .describe('Older files are removed, which is recorded; 0 = never'),
    syslog: z
      .strictObject({
        url: z
          .string()
          .default('')
          .refine(isSyslogUrl, 'udp://HOST:PORT, tcp://HOST:PORT or unix:/PATH')
          .describe('udp://HOST:514, tcp://HOST:601 or unix:/PATH (a stream socket); empty = none'),
        facility: z.number().int().min(0).max(23).default(13).describe('13: log audit'),
        required: z.boolean().default(false).describe('Refuse work while it is more than audit.maxBehindMs behind'),
      })
      .prefault({}),
    http: z
      .strictObject({
        url: z
          .union([z.literal(''), z.url({ protocol: /^https?$/ })])
          .default('')
          .describe('Entries are posted here as JSON lines; empty = nowhere'),
        authorization: z
          .string()
          .default('')
          .describe('Value of the Authorization header, with ${NAME} from the environment'),
        required: z.boolean().default(false).describe('Refuse work while it is more than audit.maxBehindMs behind'),
      })
      .prefault({}),
    maxBehindMs: positiveMs.default(60_000).describe('How far a required sink may be behind'),
  })
  .superRefine(({ enabled, syslog, http }, context) => {
    const refuse = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
    for (const [name, { url, required }] of Object.entries({ syslog, http })) {
      if (required && url === '') refuse([name, 'required'], `is true, but audit.${name}.url is empty`);
      if (url !== '' && !enabled) refuse([name, 'url'], 'is set, but audit.enabled is false: nothing is sent');
    }
    if (syslog.required && syslog.url.startsWith('udp:')) {
      refuse(['syslog', 'required'], 'is true, but UDP confirms nothing: use tcp:// or unix:');
    }
    if (http.authorization !== '' && http.url.startsWith('http:') && !isLoopbackHost(new URL(http.url).hostname)) {
      refuse(['http', 'url'], 'must be https, since audit.http.authorization is a secret');
    }
  })
  .prefault({});

export type AuditConfig = z.infer<typeof auditSchema>;

function isSyslogUrl(text: string): boolean {
  if (text === '' || /^unix:\/./.test(text)) return true;
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, port } = new URL(text);
  return (protocol === 'udp:' || protocol === 'tcp:') && hostname !== '' && port !== '';
}
