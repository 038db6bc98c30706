/** The configuration's rules about who may reach the server, and what they may reach through it. Main thread and command line. */
import { browserProblem } from './config-browsers.js';
import { oidcProblems } from './config-oidc.js';
import type { Config, ConfigProblem } from './config.js';

export const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost']);

/** Why others than the machine's owner can reach the server, or undefined: then sandboxes need isolation. */
export function servesOthers({ listen, auth, mcp }: Pick<Config, 'listen' | 'auth' | 'mcp'>): string | undefined {
  if (!LOOPBACK.has(listen.host)) return `listen.host is ${listen.host}`;
  if (auth.tokens.length > 0) return 'auth.tokens is set';
  if (auth.oidc !== undefined) return 'auth.oidc is set';
  if (mcp.publicUrl !== undefined) return 'mcp.publicUrl is set';
  // A proxy on this machine need not say in a header that it is one.
  if (listen.trustedProxies.length > 0) return 'listen.trustedProxies is set';
  const name = listen.hosts.find((host) => !isLocalName(host));
  return name === undefined ? undefined : `listen.hosts has ${name}`;
}

/** Such names lead to loopback everywhere (RFC 6761). */
function isLocalName(name: string): boolean {
  return /^(?:.+\.)?localhost$/i.test(name);
}

export function checkAccess(config: Config, problems: ConfigProblem[]): void {
  const { listen, metrics, auth, sandbox, mcp } = config;
  const others = servesOthers(config);
  if (auth.mode === 'none') {
    if (others !== undefined) {
      problems.push({
        path: 'auth.mode',
        message: `is none, but ${others}: without tokens only this machine is served; set it to token`,
      });
    }
  } else if (!LOOPBACK.has(listen.host) && auth.tokens.length === 0 && auth.oidc === undefined) {
    problems.push({
      path: 'auth.tokens',
      message: `is empty, but listen.host ${listen.host} is not loopback: make a token with \`fairlead token NAME\`, set auth.oidc, or listen on 127.0.0.1`,
    });
  }
  if (others !== undefined && sandbox.driver === 'process') {
    problems.push({
      path: 'sandbox.driver',
      message: `\`process\` isolates nothing, and ${others}: whoever has a token could run commands as the server's account; use docker`,
    });
  }
  if (metrics.listen?.port === listen.port && listen.port !== 0 && metrics.listen.host === listen.host) {
    problems.push({ path: 'metrics.listen.port', message: `is ${listen.port}, where users are served: take another` });
  }
  for (const { key, message } of auth.oidc ? oidcProblems(auth.oidc) : []) {
    problems.push({ path: `auth.oidc.${key}`, message });
  }
  const unreachable = auth.oidc?.clientId ? browserProblem(mcp.publicUrl, listen.host) : undefined;
  if (unreachable !== undefined) problems.push({ path: 'mcp.publicUrl', message: unreachable });
  const seen = new Set<string>();
  for (const [index, token] of auth.tokens.entries()) {
    if (seen.has(token.sha256)) problems.push({ path: `auth.tokens.${index}.sha256`, message: 'is in the list twice' });
    seen.add(token.sha256);
  }
}
