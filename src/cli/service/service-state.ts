/** What systemd says of the unit, and what that means. Command line's process. */
import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { UNIT } from './layout.js';

const run = promisify(execFile);
const ASK_MS = 20_000;
const POLL_MS = 250;
const PROPERTIES = [
  'LoadState',
  'ActiveState',
  'SubState',
  'UnitFileState',
  'Result',
  'ExecMainStatus',
  'NRestarts',
  'ActiveEnterTimestamp',
  'StatusText',
] as const;
export const SHOW_STATE = ['systemctl', 'show', UNIT, `--property=${PROPERTIES.join(',')}`];
/** The unit's exit code for a wrong configuration: nothing tries it again. */
const MISCONFIGURED = '78';

export interface ServiceState {
  /** systemd knows the unit. */
  loaded: boolean;
  active: boolean;
  enabled: boolean;
  /** It listens and says that all parts are there. */
  ready: boolean;
  /** Of the process that runs; undefined where its status does not say. */
  version: string | undefined;
  /** Its own words, such as “not ready: the store does not answer”. */
  status: string;
  since: string;
  /** How the last process ended, where none runs: `exit-code`, `watchdog`, …; and its code. */
  result: string;
  exitCode: string;
  /** No restart comes: it was stopped, or its configuration is wrong. */
  over: boolean;
}

/** Pure: from the lines of `systemctl show`. */
export function parseState(shown: string): ServiceState {
  const values = new Map(
    shown.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
  const value = (name: (typeof PROPERTIES)[number]): string => values.get(name) ?? '';
  const [, version, words] = /^Fairlead (\S+): (.*)$/s.exec(value('StatusText')) ?? [];
  const status = words ?? value('StatusText');
  const active = value('ActiveState') === 'active' || value('ActiveState') === 'reloading';
  return {
    loaded: value('LoadState') === 'loaded',
    active,
    enabled: value('UnitFileState') === 'enabled',
    ready: active && /^ready\b/.test(status),
    version,
    status,
    since: value('ActiveEnterTimestamp'),
    result: value('Result'),
    exitCode: value('ExecMainStatus'),
    over:
      value('ActiveState') === 'inactive' ||
      (value('ActiveState') === 'failed' &&
        (value('ExecMainStatus') === MISCONFIGURED || value('SubState') === 'failed')),
  };
}

export async function askState(): Promise<ServiceState> {
  const [program = '', ...args] = SHOW_STATE;
  return parseState((await run(program, args, { timeout: ASK_MS })).stdout);
}

export interface Wanted {
  timeoutMs: number;
  /** That this version runs, and no other. */
  version?: string;
  /** Running is enough: before, it was not ready either. */
  running?: boolean;
}

/** Resolves with the state once it is as wanted, when no restart will come, or when the time is over. */
export async function waitForState(wanted: Wanted, ask = askState): Promise<{ fits: boolean; state: ServiceState }> {
  const until = performance.now() + wanted.timeoutMs;
  for (;;) {
    const state = await ask();
    // 0.2.0 and older do not say their version.
    const right = wanted.version === undefined || state.version === undefined || state.version === wanted.version;
    const fits = right && (wanted.running === true ? state.active : state.ready);
    if (fits || state.over || performance.now() >= until) return { fits, state };
    await delay(POLL_MS);
  }
}

/** One sentence. */
export function describeState(state: ServiceState): string {
  const { loaded, active, version, status, since, result, exitCode } = state;
  if (!loaded) return 'the service is not installed';
  const name = version === undefined ? 'Fairlead' : `Fairlead ${version}`;
  if (active) return `${name} runs since ${since}: ${status || 'it does not say how it is'}`;
  if (exitCode === MISCONFIGURED) return `${name} does not run: its configuration is wrong (exit code 78)`;
  if (result === 'success' || result === '') return `${name} does not run: it was stopped`;
  return `${name} does not run: ${result}${exitCode === '0' ? '' : `, exit code ${exitCode}`}; systemd tries again every five seconds`;
}

/** The last lines of the journal of the unit; '' where there is no journal. */
export async function lastLines(count: number): Promise<string> {
  try {
    const args = ['-u', UNIT, '-n', String(count), '-o', 'cat', '--no-pager', '-q'];
    return (await run('journalctl', args, { timeout: ASK_MS })).stdout.trimEnd();
  } catch {
    return ''; // no journal on this machine: systemctl's own words must do
  }
}
