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
  /** A process runs and does not listen yet. */
  starting: boolean;
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
  /** Starts by systemd itself since somebody has started it. */
  restarts: number;
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
    starting: value('ActiveState') === 'activating' && value('SubState').startsWith('start'),
    enabled: value('UnitFileState') === 'enabled',
    ready: active && /^ready\b/.test(status),
    version,
    status,
    since: value('ActiveEnterTimestamp'),
    result: value('Result'),
    exitCode: value('ExecMainStatus'),
    restarts: Number(value('NRestarts')) || 0,
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
  const { loaded, active, starting, version, status, since, result, exitCode, restarts } = state;
  if (!loaded) return 'the service is not installed';
  const name = version === undefined ? 'Fairlead' : `Fairlead ${version}`;
  if (active) return `${name} runs since ${since}: ${status || 'it does not say how it is'}`;
  if (starting)
    return `${name} is being started${restarts > 0 ? `, and was tried ${restarts + 1} times` : ''}: ${status || 'it does not listen yet'}`;
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
