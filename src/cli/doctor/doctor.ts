/** `fairlead doctor`: runs all checks at once, each with a deadline, and says what to do. Command line's process. */
import { withDeadline } from '../../shared/abort.js';
import { loadConfig, ConfigError, parseConfig, type Config } from '../../shared/config.js';
import { checkAccess } from './doctor-access.js';
import { checkCertificate } from './doctor-certificate.js';
import { checkClock } from './doctor-clock.js';
import { checkDocker, dockerRoot } from './doctor-docker.js';
import { checkAddons, checkFiles, checkNode, checkPort } from './doctor-host.js';
import { checkDataFolder, checkDisk } from './doctor-place.js';
import { checkSandbox } from './doctor-sandbox.js';
import { checkModel, checkStore } from './doctor-services.js';
import type { Subject } from './subject.js';
import { messageOf, type Colors } from '../report.js';
import { clean } from '../terminal-text.js';

const DEADLINE_MS = 15_000;

/** In the order in which they are told; docs/troubleshooting.md has a row for each. */
export const CHECK_NAMES = [
  'service',
  'node',
  'uWebSockets',
  'lz4',
  'lmdb',
  'open files',
  'configuration',
  'auth',
  'data folder',
  'disk',
  'store',
  'docker',
  'sandbox',
  'model',
  'clock',
  'certificate',
  'port',
] as const;

export type CheckName = (typeof CHECK_NAMES)[number];

export type Status = 'ok' | 'warning' | 'failed';

export interface Finding {
  status: Status;
  /** One line. */
  detail: string;
  /** What to do about it. */
  hint?: string;
}

export interface Check extends Finding {
  name: CheckName;
}

export interface Diagnosis {
  ok: boolean;
  checks: Check[];
}

/** Never rejects: a check that throws or hangs is reported as failed. `ok` is false when any check failed. */
export async function diagnose(
  env: NodeJS.ProcessEnv = process.env,
  cwd = process.cwd(),
  subject: Pick<Subject, 'findings' | 'account' | 'pid' | 'openFiles' | 'lowPorts'> = { findings: [] },
): Promise<Diagnosis> {
  const { config, findings } = readConfig(env, cwd);
  const { account } = subject;
  const groups = await Promise.all([
    run('service', async () => subject.findings),
    run('node', async () => [checkNode()]),
    run('uWebSockets', checkAddons.uWebSockets),
    run('lz4', checkAddons.lz4),
    config.store.redisUrl === '' ? run('lmdb', checkAddons.lmdb) : [],
    run('open files', () => checkFiles(subject)),
    Promise.resolve(findings),
    run('auth', (signal) => checkAccess(config, { owner: account?.uid, signal })),
    run('data folder', () => checkDataFolder(config, account)),
    run('disk', async (signal) => checkDisk(config, await dockerRoot(config, signal))),
    run('store', (signal) => checkStore(config, signal)),
    run('docker', (signal) => checkDocker(config, signal)),
    run('sandbox', (signal) => checkSandbox(config, signal)),
    run('model', (signal) => checkModel(config, signal)),
    run('clock', () => checkClock(config)),
    run('certificate', () => checkCertificate(config)),
    run('port', (signal) => checkPort(config, signal, subject)),
  ]);
  const checks = groups.flat();
  return { ok: checks.every(({ status }) => status !== 'failed'), checks };
}

export function diagnosisText({ ok, checks }: Diagnosis, { green, yellow, red, dim, bold }: Colors): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const marks = { ok: green('✓'), warning: yellow('!'), failed: red('✗') };
  const lines = checks.flatMap(({ name, status, detail, hint }) => [
    `${marks[status]} ${name.padEnd(width)}  ${clean(detail)}`,
    ...(hint === undefined ? [] : [`  ${' '.repeat(width)}  ${dim('→')} ${clean(hint)}`]),
  ]);
  return [...lines, '', ok ? green('ready: fairlead serve') : bold(red('not ready: mend what is marked ✗')), ''].join(
    '\n',
  );
}

async function run(name: CheckName, check: (signal: AbortSignal) => Promise<Finding[]>): Promise<Check[]> {
  const late = (): Error => new Error(`no answer within ${DEADLINE_MS / 1000} s`);
  const findings = await withDeadline({ timeoutMs: DEADLINE_MS, late }, check).catch((error: unknown): Finding[] => [
    { status: 'failed', detail: messageOf(error), hint: 'docs/troubleshooting.md says what it may be' },
  ]);
  return findings.map((finding) => ({ name, ...finding }));
}

/** When the configuration is invalid, the other checks use the environment alone. */
function readConfig(env: NodeJS.ProcessEnv, cwd: string): { config: Config; findings: Check[] } {
  const name = 'configuration' as const;
  try {
    const config = loadConfig(env, cwd);
    const file = env['FAIRLEAD_CONFIG'] || 'fairlead.json if present';
    return { config, findings: [{ name, status: 'ok', detail: `valid (${file}, environment)` }] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const findings = error.problems.map(({ path, message }): Check => ({
      name,
      status: 'failed',
      detail: `${path}: ${message}`,
      hint: 'mend it (docs/configuration.md has every key), then `fairlead serve --check-config`',
    }));
    return { config: environmentOnly(env, cwd), findings };
  }
}

function environmentOnly(env: NodeJS.ProcessEnv, cwd: string): Config {
  try {
    return parseConfig({}, { ...env, HOST: '' }, cwd);
  } catch (error) {
    if (error instanceof ConfigError) return parseConfig({}, {}, cwd);
    throw error;
  }
}
