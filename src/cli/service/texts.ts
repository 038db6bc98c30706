/** The files that an installation writes. Pure. Command line's process. */
import type { ROLES } from '../../shared/person.js';

const ADMIN: (typeof ROLES)[number] = 'admin';

/** What a first installation makes, and shows once. */
export interface Fresh {
  secretKey: string;
  /** The first administrator: a name, and the SHA-256 of a token. */
  admin: { user: string; sha256: string };
  /** Of that administrator. */
  token: string;
}

export interface EnvironmentChoices {
  secretKey: string;
  redisUrl: string;
}

/** From the example: each line that is given a value, and all others as they stand. */
export function environmentText(example: string, { secretKey, redisUrl }: EnvironmentChoices): string {
  const values = { FAIRLEAD_SECRET_KEYS: secretKey, REDIS_URL: redisUrl };
  let text = example;
  for (const [name, value] of Object.entries(values)) {
    const line = new RegExp(`^#?${name}=.*$`, 'm');
    const set = `${name}=${value}`;
    text = line.test(text) ? text.replace(line, () => set) : `${text.trimEnd()}\n${set}\n`;
  }
  return text;
}

/** For root's commands on this machine, sent to no other. */
export function adminEnvironmentText(token: string): string {
  return `# Of \`fairlead service install\`, for root's own commands on this machine (status, reload, admin). Only root may read it.\nFAIRLEAD_LOCAL_TOKEN=${token}\n`;
}

export interface ConfigChoices {
  schema: string;
  admin: Fresh['admin'];
  /** The name at which the proxy serves. */
  domain?: string;
}

export function configText({ schema, admin, domain }: ConfigChoices): string {
  const config = {
    $schema: schema,
    auth: { tokens: [{ user: admin.user, sha256: admin.sha256, role: ADMIN }] },
    ...(domain === undefined ? {} : { listen: { hosts: [domain], trustedProxies: ['127.0.0.1'] } }),
    sandbox: { driver: 'docker' },
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** docs/operations.md says why: a restart of Redis must lose no conversation, and a full one must throw none away. */
export const REDIS_SETTINGS = [
  ['appendonly', 'yes'],
  ['appendfsync', 'everysec'],
  ['maxmemory-policy', 'noeviction'],
] as const;

const BEFORE = '# before: ';

/** `before` is what was set until then: `service uninstall` puts it back. */
export function redisInclude(before: Readonly<Record<string, string>>): string {
  const notes = Object.entries(before).map((pair) => `${BEFORE}${pair.join(' ')}\n`);
  const settings = REDIS_SETTINGS.map((pair) => `${pair.join(' ')}\n`);
  return `# Of Fairlead: \`fairlead service uninstall\` removes it.\n${notes.join('')}${settings.join('')}`;
}

/** What an include says of before; an older one says nothing. */
export function settingsBefore(include: string): Record<string, string> {
  const lines = include.split('\n').filter((line) => line.startsWith(BEFORE));
  return Object.fromEntries(lines.map((line) => line.slice(BEFORE.length).split(' ') as [string, string]));
}

/** The file with our line at its end, once. */
export function withLine(text: string, line: string): string {
  if (text.split('\n').includes(line)) return text;
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`;
}

export function withoutLine(text: string, line: string): string {
  return text
    .split('\n')
    .filter((other) => other !== line)
    .join('\n');
}

/** The unit's own sets are empty, and what stands here is added to them. */
export const PORT_DROP_IN = `# Of Fairlead: the port of its configuration is below 1024. \`fairlead service uninstall\` removes it.
[Service]
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
AmbientCapabilities=CAP_NET_BIND_SERVICE
`;

/** Whether only root or a capability may listen there (ip(7)). 0 is any free one. */
export function isPrivileged(port: number): boolean {
  return port > 0 && port < 1_024;
}

/** Caddy gets the certificate by itself, and passes WebSockets and streams on. docs/tls.md shows the same. */
export function siteText(domain: string, port: number): string {
  return `# Of Fairlead: \`fairlead service uninstall\` removes it.
${domain} {
	respond /metrics 404
	reverse_proxy 127.0.0.1:${port} {
		flush_interval -1
		transport http {
			read_timeout 660s
		}
	}
}
`;
}
