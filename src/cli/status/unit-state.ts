/** What systemd and its journal know of a unit that does not run. Command line's process. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ASK_MS = 5_000;
const LAST_LINES = 5;

const PROPERTIES = [
  'LoadState',
  'ActiveState',
  'SubState',
  'Result',
  'ExecMainStatus',
  'ExecMainExitTimestamp',
  'NRestarts',
  'StatusText',
] as const;

export interface UnitState {
  unit: string;
  /** `failed (failed)`, `activating (auto-restart)`, `inactive (dead)`. */
  active: string;
  /** systemd's own word: `exit-code`, `watchdog`, `oom-kill`, `success`. */
  result: string;
  exitStatus: number;
  /** What the exit status means, where it is one of ours. */
  meaning?: string;
  endedAt: string;
  restarts: number;
  /** The last errors in the journal; absent: it may not be read. */
  errors?: string[];
}

/** Undefined where there is no systemd, or no such unit. */
export async function askSystemd(unit: string): Promise<UnitState | undefined> {
  const shown = await output('systemctl', ['show', unit, `--property=${PROPERTIES.join(',')}`]);
  const values = new Map((shown ?? '').split('\n').map((line) => splitOnce(line)));
  const value = (name: (typeof PROPERTIES)[number]): string => values.get(name) ?? '';
  if (shown === undefined || value('LoadState') !== 'loaded') return undefined;
  const exitStatus = Number(value('ExecMainStatus')) || 0;
  const meaning = meaningOf(exitStatus, value('Result'));
  const errors = await output('journalctl', [
    '-u',
    unit,
    '-p',
    'err',
    '-n',
    String(LAST_LINES),
    '-o',
    'cat',
    '--no-pager',
  ]);
  return {
    unit,
    active: `${value('ActiveState')} (${value('SubState')})`,
    result: value('Result'),
    exitStatus,
    ...(meaning === undefined ? {} : { meaning }),
    endedAt: value('ExecMainExitTimestamp'),
    restarts: Number(value('NRestarts')) || 0,
    ...(errors === undefined ? {} : { errors: errors.split('\n').filter(isLine).map(messageOfLine) }),
  };
}

function meaningOf(status: number, result: string): string | undefined {
  if (status === 78) return 'the configuration is wrong: systemd does not try again until somebody starts it';
  if (result === 'oom-kill') return 'the kernel ended it: out of memory';
  if (result === 'watchdog') return 'its event loops stood still, and systemd ended it';
  return undefined;
}

/** A line of our log is JSON; what systemd writes of the unit is text. */
function messageOfLine(line: string): string {
  try {
    const { msg } = JSON.parse(line) as { msg?: unknown };
    return typeof msg === 'string' ? msg : line;
  } catch (error) {
    if (error instanceof SyntaxError) return line;
    throw error;
  }
}

function isLine(line: string): boolean {
  return line !== '' && !/^-- (No entries|Logs begin)/.test(line);
}

function splitOnce(line: string): [string, string] {
  const at = line.indexOf('=');
  return [line.slice(0, at), line.slice(at + 1)];
}

/** Undefined where the program is missing or refuses. */
async function output(program: string, args: string[]): Promise<string | undefined> {
  return run(program, args, { timeout: ASK_MS, killSignal: 'SIGKILL' }).then(
    ({ stdout }) => stdout,
    () => undefined,
  );
}
