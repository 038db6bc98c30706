/**
 * Whom the doctor judges: the installed service with its environment, account and limits, else what a file says, else this shell. A
 * shell has other variables, other rights and other limits than the service. Command line's process.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parseEnvironmentFile } from './environment-file.js';
import type { Finding } from './doctor.js';

const run = promisify(execFile);
const ASK_MS = 5_000;
/** What a service has of its own: of the rest of this shell's environment it knows nothing. */
const KEPT = ['PATH', 'HOME', 'LANG', 'NODE_EXTRA_CA_CERTS'];

export interface Account {
  name: string;
  uid: number;
}

export interface Subject {
  env: NodeJS.ProcessEnv;
  cwd: string;
  /** Whom it is, and what keeps the doctor from seeing all of it. */
  findings: Finding[];
  /** That the server runs as. Absent: this one. */
  account?: Account;
  /** That its variables are from. */
  environmentFiles: string[];
  /** Of the running server. */
  pid?: number;
  /** The unit's LimitNOFILE. */
  openFiles?: number;
  /** The unit may listen on ports below 1024. Absent: there is no unit, or root runs it. */
  lowPorts?: boolean;
}

export interface SubjectOptions {
  /** Judges this shell even where a service is installed. */
  shell?: boolean;
  config?: string;
  envFile?: string;
  unit: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

export async function subjectOf(options: SubjectOptions): Promise<Subject> {
  const { shell = false, config, envFile, unit, env = process.env, cwd = process.cwd() } = options;
  const named: NodeJS.ProcessEnv = config === undefined ? {} : { FAIRLEAD_CONFIG: resolve(cwd, config) };
  if (envFile !== undefined) {
    const { values, finding } = readEnvironmentFile(resolve(cwd, envFile));
    const findings = [finding ?? ok(`the environment of ${envFile}`)];
    return { env: { ...keptOf(env), ...values, ...named }, cwd, findings, environmentFiles: [resolve(cwd, envFile)] };
  }
  const shown = shell || config !== undefined ? undefined : await showUnit(unit);
  if (shown === 'silent') {
    const detail = `${unit} is installed, and systemd does not answer this account: this shell’s environment is judged`;
    const hint = 'run the doctor with sudo';
    return { env: { ...env, ...named }, cwd, findings: [{ status: 'failed', detail, hint }], environmentFiles: [] };
  }
  if (shown === undefined) {
    const detail =
      config === undefined
        ? 'no service is installed: this shell’s environment'
        : `${config}, this shell’s environment`;
    return { env: { ...env, ...named }, cwd, findings: [ok(detail)], environmentFiles: [] };
  }
  return subjectOfUnit(unit, shown, env);
}

/** The unit's properties; undefined where there is no systemd, or no such unit. */
type Properties = Map<string, string[]>;

const PROPERTIES =
  'LoadState,ActiveState,User,EnvironmentFiles,Environment,WorkingDirectory,LimitNOFILE,MainPID,NeedDaemonReload,' +
  'AmbientCapabilities,CapabilityBoundingSet';
const BIND = 'cap_net_bind_service';

/** Where `fairlead service install` and the Debian package put the unit. */
const UNIT_FOLDERS = ['/etc/systemd/system', '/lib/systemd/system'];

/** `silent`: without a D-Bus systemd answers root alone. */
async function showUnit(unit: string): Promise<Properties | 'silent' | undefined> {
  const stdout = await run('systemctl', ['show', unit, `--property=${PROPERTIES}`], { timeout: ASK_MS }).then(
    (answer) => answer.stdout,
    () => undefined,
  );
  if (stdout === undefined) return UNIT_FOLDERS.some((folder) => existsSync(join(folder, unit))) ? 'silent' : undefined;
  const properties: Properties = new Map();
  for (const line of stdout.split('\n')) {
    const at = line.indexOf('=');
    if (at < 1) continue;
    const name = line.slice(0, at);
    properties.set(name, [...(properties.get(name) ?? []), line.slice(at + 1)]);
  }
  return properties.get('LoadState')?.[0] === 'loaded' ? properties : undefined;
}

async function subjectOfUnit(unit: string, shown: Properties, env: NodeJS.ProcessEnv): Promise<Subject> {
  const value = (name: string): string => shown.get(name)?.[0] ?? '';
  const findings: Finding[] = [ok(`${unit} (${value('ActiveState')}): its environment, account and limits`)];
  const environmentFiles: string[] = [];
  const values: NodeJS.ProcessEnv = parseEnvironmentFile(value('Environment').split(' ').join('\n'));
  for (const line of shown.get('EnvironmentFiles') ?? []) {
    const file = line.replace(/ \(ignore_errors=\w+\)$/, '');
    if (file === '') continue;
    const read = readEnvironmentFile(file);
    Object.assign(values, read.values);
    environmentFiles.push(file);
    if (read.finding && !line.endsWith('=yes)')) findings.push(read.finding);
  }
  if (value('NeedDaemonReload') === 'yes') {
    const hint = 'systemctl daemon-reload, then systemctl restart fairlead';
    findings.push({ status: 'warning', detail: 'its unit file has changed since systemd read it', hint });
  }
  const name = value('User') || 'root';
  const account = await accountOf(name);
  if (account === undefined) {
    findings.push({
      status: 'failed',
      detail: `its user ${name} is not there`,
      hint: 'fairlead service install makes it',
    });
  }
  const openFiles = Number(value('LimitNOFILE') === 'infinity' ? Number.POSITIVE_INFINITY : value('LimitNOFILE'));
  const pid = Number(value('MainPID'));
  const has = (property: string): boolean => value(property).split(' ').includes(BIND);
  const lowPorts = has('AmbientCapabilities') && has('CapabilityBoundingSet');
  return {
    env: { ...keptOf(env), ...values },
    cwd: value('WorkingDirectory') || '/',
    findings,
    environmentFiles,
    ...(account && { account }),
    ...(pid > 0 && { pid }),
    ...(openFiles > 0 && { openFiles }),
    ...(name !== 'root' && { lowPorts }),
  };
}

function readEnvironmentFile(file: string): { values: NodeJS.ProcessEnv; finding?: Finding } {
  try {
    return { values: parseEnvironmentFile(readFileSync(file, 'utf8')) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const hint =
      code === 'EACCES'
        ? 'it belongs to root, since it holds keys: run the doctor with sudo'
        : 'make it, or name another';
    return { values: {}, finding: { status: 'failed', detail: `${file} cannot be read (${code})`, hint } };
  }
}

async function accountOf(name: string): Promise<Account | undefined> {
  return run('id', ['-u', '--', name], { timeout: ASK_MS }).then(
    ({ stdout }) => ({ name, uid: Number(stdout) }),
    () => undefined,
  );
}

function keptOf(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(KEPT.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}

function ok(detail: string): Finding {
  return { status: 'ok', detail };
}
