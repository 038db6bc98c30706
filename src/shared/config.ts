/** The configuration: one JSON file and a little environment. Parses it once, reports every problem at once, freezes it. Main thread and command line. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { ms, positive, positiveMs } from './config-fields.js';
import { auditSchema } from './config-audit.js';
import { checkAccess, LOOPBACK } from './config-access.js';
import { budgetProblems, budgetsSchema, pricesSchema, usageSchema } from './config-budgets.js';
import { authSchema } from './config-auth.js';
import { limitsSchema, listenSchema, metricsSchema } from './config-front.js';
import { mcpProblems, mcpSchema, mcpServerSchema } from './config-mcp.js';
import { hasModelAccess, readModelAccess, type ModelAccess } from './config-model.js';
import { readSecretKeys, type SecretKeys } from './config-secret-keys.js';
import { quotasSchema } from './config-quotas.js';
import { approvalsSchema, groupNames, policyProblems } from './config-policy.js';
import { readProxies, type Proxies } from './proxies.js';
import { sandboxProblems, sandboxSchema, type SandboxConfig } from './config-sandbox.js';
import { DOCKER_HOST_PROBLEM, parseDockerHost } from './docker-host.js';
import { FairleadError } from './errors.js';
import { redisUrlProblem } from './redis-url.js';
import { imageProblems, imagesSchema } from './config-images.js';
import { defaultMemoryMb } from './sandbox-memory.js';

/** A thread beats only four times within the limit, and a garbage collection delays its beat. */
const MIN_HANG_MS = 200;
/** An agent thread uses 40 MB of it right after its start. */
const MIN_HEAP_MB = 96;

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

export const configSchema = z.strictObject({
  $schema: z.string().optional(),
  listen: listenSchema,
  metrics: metricsSchema,
  auth: authSchema,
  agents: z
    .strictObject({
      threads: z.number().int().min(0).max(256).default(0).describe('0 = one less than there are cores, at least 1'),
      hangTimeoutMs: ms
        .default(10_000)
        .describe('An agent thread whose event loop stands still for so long is replaced; 0 = never'),
      maxHeapMb: z
        .number()
        .int()
        .min(0)
        .default(0)
        .describe('JavaScript heap of one agent thread; a thread that needs more dies alone; 0 = Node’s default'),
      recentMb: z
        .number()
        .int()
        .min(0)
        .default(32)
        .describe(
          'Memory of one agent thread for sessions that were used lately: their next turn reads nothing; 0 = none',
        ),
      spare: z
        .boolean()
        .default(true)
        .describe('Keep one more agent thread loaded (some 40 MB): it replaces one that dies at once'),
    })
    .prefault({}),
  model: z
    .strictObject({
      provider: z.enum(['auto', 'anthropic', 'demo']).default('auto'),
      name: z.string().min(1).default('claude-sonnet-5-5'),
      allow: z.array(z.string()).default([]).describe('Other models a client may ask for'),
      groups: z
        .record(z.string().min(1), groupNames)
        .default({})
        .describe('By model: only members of one of these groups may use it; absent = everybody'),
      maxTokens: positive.default(8192),
      maxRounds: positive.default(50),
      thinkingTokens: z
        .number()
        .int()
        .min(0)
        .default(0)
        .describe('Budget of extended thinking; 0 = off, else at least 1024'),
      timeoutMs: ms.default(600_000),
      historyTokens: positive
        .default(150_000)
        .describe(
          'Most tokens of conversation that the model is sent; older turns are left out, and stay in the history',
        ),
      system: z.string().default(''),
    })
    .prefault({}),
  store: z
    .strictObject({
      redisUrl: z.string().default(''),
      timeoutMs: positiveMs.default(5_000),
      sessionTtlMs: positive
        .default(2_592_000_000)
        .describe('A session that nobody uses for so long (30 days) is deleted with its files'),
      history: z
        .strictObject({
          maxBytes: positive
            .default(67_108_864)
            .describe(
              'Bytes of a session’s messages and results; when they are reached the user resets it or starts anew',
            ),
        })
        .prefault({}),
      eventLog: z
        .strictObject({
          maxEvents: positive.default(1000),
          maxAgeMs: positive.default(900_000),
          maxBytes: positive
            .default(4_194_304)
            .describe(
              'JSON bytes of a session’s events; the oldest go first, the newest stays even if it alone is larger',
            ),
        })
        .prefault({}),
    })
    .prefault({}),
  sandbox: sandboxSchema,
  approvals: approvalsSchema,
  limits: limitsSchema,
  prices: pricesSchema,
  budgets: budgetsSchema,
  usage: usageSchema,
  quotas: quotasSchema,
  audit: auditSchema,
  mcp: mcpSchema,
  logLevel: z
    .enum(LOG_LEVELS)
    .default('info')
    .describe('What the log has: this level and the graver ones; LOG_LEVEL outweighs it'),
  allowHostCommands: z
    .boolean()
    .default(false)
    .describe('Lets `command` servers run on the host as this user, without isolation'),
  mcpServers: z
    .record(
      z.string().regex(/^[a-zA-Z0-9_-]{1,32}$/, 'a server’s name is 1–32 of letters, digits, _ -'),
      mcpServerSchema,
    )
    .prefault({ workspace: { image: 'fairlead/workspace' } }),
  images: imagesSchema.describe('Images of the sandbox that a session may choose when it is made, by name'),
});

type Parsed = z.infer<typeof configSchema>;

/** The file's settings and those of the environment. Frozen; crosses threads as workerData. */
export interface Config extends Readonly<Omit<Parsed, '$schema' | 'sandbox'>> {
  readonly sandbox: Readonly<SandboxConfig>;
  readonly dataDir: string;
  readonly dockerHost: string;
  readonly anthropic: ModelAccess;
  readonly proxies: Proxies;
  /** The file that the settings are from. Absent: there is none. */
  readonly source?: ConfigSource;
  /** Encrypt stored tokens of MCP servers, and browsers' cookies. */
  readonly secretKeys: SecretKeys;
}

export interface ConfigSource {
  file: string;
  /** Of its bytes. */
  sha256: string;
}

export interface ConfigProblem {
  path: string;
  message: string;
}

export class ConfigError extends FairleadError {
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly ConfigProblem[]) {
    super('ERR_CONFIG', `configuration: ${problems.map((p) => `${p.path}: ${p.message}`).join('; ')}`);
    this.problems = problems;
  }
}

/** Reads the file that `FAIRLEAD_CONFIG` names (default `fairlead.json` if present) and the environment. Throws ConfigError. */
export function loadConfig(env: NodeJS.ProcessEnv = process.env, cwd = process.cwd()): Config {
  const named = env['FAIRLEAD_CONFIG'];
  const file = resolve(cwd, named || 'fairlead.json');
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if (!named && (error as NodeJS.ErrnoException).code === 'ENOENT') return parseConfig({}, env, cwd);
    throw new ConfigError([{ path: file, message: `cannot be read (${(error as NodeJS.ErrnoException).code})` }]);
  }
  return configOf(bytes, file, env, cwd);
}

/** The configuration that a file's bytes and an environment make. Throws ConfigError. */
export function configOf(bytes: Buffer, file: string, env: NodeJS.ProcessEnv, cwd: string): Config {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString());
  } catch (error) {
    throw new ConfigError([{ path: file, message: `is not JSON (${(error as Error).message})` }]);
  }
  return parseConfig(json, env, cwd, { file, sha256: createHash('sha256').update(bytes).digest('hex') });
}

/** Pure: makes a frozen configuration of a parsed file and an environment, or throws ConfigError with every problem. */
export function parseConfig(json: unknown, env: NodeJS.ProcessEnv, cwd = process.cwd(), source?: ConfigSource): Config {
  const problems: ConfigProblem[] = [];
  const expanded = expand(json, env, [], problems);
  const parsed = configSchema.safeParse(expanded);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) problems.push(...describeIssue(issue, expanded));
  }
  const port = parsePort(env['PORT'], problems);
  const logLevel = parseLogLevel(env['LOG_LEVEL'], problems);
  if (!parsed.success) throw new ConfigError(problems);

  const { $schema: _schema, ...config } = parsed.data;
  const listen = { ...config.listen, host: env['HOST'] || config.listen.host, port: port ?? config.listen.port };
  const store = { ...config.store, redisUrl: env['REDIS_URL'] || config.store.redisUrl };
  const { memoryMb = defaultMemoryMb(config.sandbox) } = config.sandbox;
  const result: Config = {
    ...config,
    listen,
    store,
    sandbox: { ...config.sandbox, memoryMb },
    dataDir: dataDirOf(env, cwd),
    logLevel: logLevel ?? config.logLevel,
    dockerHost: env['DOCKER_HOST'] || '',
    anthropic: readModelAccess(env, problems),
    proxies: readProxies(env, problems),
    secretKeys: readSecretKeys(env, problems),
    ...(source && { source }),
  };
  problems.push(...problemsAcross(result));
  if (problems.length > 0) throw new ConfigError(problems);
  return deepFreeze(result);
}

/** What is wrong between several fields of a configuration whose fields are each right. */
export function problemsAcross(config: Config): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  checkAccess(config, problems);
  checkAcross(config, problems);
  return problems;
}

/** Where `FAIRLEAD_DATA` points. */
export function dataDirOf(env: NodeJS.ProcessEnv = process.env, cwd = process.cwd()): string {
  return resolve(cwd, env['FAIRLEAD_DATA'] || 'fairlead-data');
}

/** The configuration file's JSON Schema, for editors: `fairlead schema`, shipped as fairlead.schema.json. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema, { io: 'input' });
}

function checkAcross(config: Config, problems: ConfigProblem[]): void {
  const { store, model } = config;
  const badUrl = store.redisUrl === '' ? undefined : redisUrlProblem(store.redisUrl);
  if (badUrl !== undefined) problems.push({ path: 'store.redisUrl', message: badUrl });
  if (!parseDockerHost(config.dockerHost)) problems.push({ path: 'DOCKER_HOST', message: DOCKER_HOST_PROBLEM });
  if (model.provider === 'anthropic' && !hasModelAccess(config.anthropic)) {
    const message = 'is anthropic, but neither ANTHROPIC_API_KEY nor ANTHROPIC_AUTH_TOKEN is set';
    problems.push({ path: 'model.provider', message });
  }
  if (model.thinkingTokens > 0 && (model.thinkingTokens < 1024 || model.thinkingTokens >= model.maxTokens)) {
    problems.push({ path: 'model.thinkingTokens', message: 'must be 0, or at least 1024 and below model.maxTokens' });
  }
  for (const name of Object.keys(model.groups)) {
    if ([model.name, ...model.allow, 'demo'].includes(name)) continue;
    problems.push({ path: `model.groups.${name}`, message: 'is neither model.name nor in model.allow' });
  }
  const { hangTimeoutMs, maxHeapMb } = config.agents;
  if (hangTimeoutMs > 0 && hangTimeoutMs < MIN_HANG_MS) {
    problems.push({ path: 'agents.hangTimeoutMs', message: `must be 0, or at least ${MIN_HANG_MS}` });
  }
  if (maxHeapMb > 0 && maxHeapMb < MIN_HEAP_MB) {
    problems.push({ path: 'agents.maxHeapMb', message: `must be 0, or at least ${MIN_HEAP_MB}` });
  }
  problems.push(...sandboxProblems(config.sandbox, config.mcpServers));
  problems.push(...imageProblems(config.images, config.sandbox, config.mcpServers));
  problems.push(...budgetProblems(config));
  problems.push(...policyProblems(config.approvals.rules));
  const { allowHostCommands, mcp } = config;
  for (const name of Object.keys(mcp.pins.servers)) {
    if (Object.hasOwn(config.mcpServers, name)) continue;
    problems.push({ path: `mcp.pins.servers.${name}`, message: 'is not a server of mcpServers' });
  }
  problems.push(...mcpProblems(config.mcpServers, { allowHostCommands, ...mcp, loopback: LOOPBACK }));
}

function parsePort(value: string | undefined, problems: ConfigProblem[]): number | undefined {
  if (value === undefined || value === '') return undefined;
  const port = Number(value);
  if (/^\d{1,5}$/.test(value) && port <= 65535) return port;
  problems.push({ path: 'PORT', message: 'must be a number from 0 to 65535' });
  return undefined;
}

function parseLogLevel(value: string | undefined, problems: ConfigProblem[]): Config['logLevel'] | undefined {
  if (value === undefined || value === '') return undefined;
  const level = LOG_LEVELS.find((each) => each === value);
  if (!level) problems.push({ path: 'LOG_LEVEL', message: `must be one of ${LOG_LEVELS.join(', ')}` });
  return level;
}

/** Replaces `${NAME}` in the file's strings by the environment's value. A missing one is a problem, never an empty string. */
function expand(
  value: unknown,
  env: NodeJS.ProcessEnv,
  path: readonly PropertyKey[],
  problems: ConfigProblem[],
): unknown {
  if (typeof value === 'string') {
    return value.replaceAll(/\$\{(\w+)\}/g, (whole, name: string) => {
      const found = env[name];
      if (found !== undefined) return found;
      problems.push({ path: path.map(String).join('.'), message: `${whole} is not set in the environment` });
      return '';
    });
  }
  if (Array.isArray(value)) return value.map((item, index) => expand(item, env, [...path, index], problems));
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, expand(item, env, [...path, key], problems)]),
    );
  }
  return value;
}

function describeIssue(issue: z.core.$ZodIssue, json: unknown): ConfigProblem[] {
  const path = issue.path.map(String).join('.') || '(top level)';
  if (issue.code === 'invalid_union' && issue.path[0] === 'mcpServers') {
    // Reports the problems of the kind of server that is meant, not those of the other kinds.
    const meant = kindOf(json, issue.path[1]);
    if (meant === -1) return [{ path, message: `needs one of ${KINDS.join(', ')}` }];
    const inside = issue.errors[meant] ?? [];
    return inside.flatMap((each) => describeIssue({ ...each, path: [...issue.path, ...each.path] }, json));
  }
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...issue.path.map(String), key].join('.'),
      message: 'is not a key of the configuration',
    }));
  }
  return [{ path, message: issue.message }];
}

/** The keys that tell the kinds apart, in the order of the union. */
const KINDS = ['image', 'command', 'url'];

function kindOf(json: unknown, name: PropertyKey | undefined): number {
  const server = (json as { mcpServers: Record<string, unknown> }).mcpServers[String(name)];
  if (server === null || typeof server !== 'object') return -1;
  return KINDS.findIndex((kind) => kind in server);
}

export function deepFreeze<T>(value: T): T {
  if (value !== null && typeof value === 'object' && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) deepFreeze(item);
  }
  return value;
}
