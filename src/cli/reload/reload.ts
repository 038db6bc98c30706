/** `fairlead reload`: has a running server read its configuration again, and prints what has changed. Command line's process. */
import { readFileSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { reloadNoteFile } from '../../boot/reload-note.js';
import { ConfigError, dataDirOf } from '../../shared/config.js';
import { FairleadError } from '../../shared/errors.js';
import { safeEndpoint } from '../endpoint.js';
import { HttpApi } from '../http-api.js';
import { inline } from '../terminal-text.js';

/** A reload waits for a thread that does not take it, and for a reload before it. */
const TIMEOUT_MS = 90_000;
const LOOK_MS = 50;

const reportSchema = z.object({
  generation: z.number(),
  changed: z.record(z.string(), z.array(z.string())),
  restart: z.array(z.string()),
  warnings: z.array(z.string()),
});
const noteSchema = z.object({
  pid: z.number(),
  asked: z.number(),
  done: z.number(),
  report: reportSchema.optional(),
  error: z.string().optional(),
  problems: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

type Report = z.infer<typeof reportSchema>;
type Note = z.infer<typeof noteSchema>;

interface Printing {
  json: boolean;
  write: (text: string) => void;
}

export interface ReloadByHttp extends Printing {
  url: string;
  token: string | undefined;
  insecure: boolean;
}

export async function reloadByHttp({ url, token, insecure, ...printing }: ReloadByHttp): Promise<void> {
  const api = new HttpApi(safeEndpoint({ url, token, insecure }).http, token);
  print(await api.ask('/v1/admin/reload', reportSchema, { method: 'POST', timeoutMs: TIMEOUT_MS }), printing);
}

export interface ReloadBySignal extends Printing {
  pid: string;
  dataDir?: string;
  timeoutMs?: number;
}

/** Whoever may send the process a signal may have it reload: the server's account, and root. */
export async function reloadBySignal({
  pid: given,
  dataDir = dataDirOf(),
  timeoutMs = TIMEOUT_MS,
  ...printing
}: ReloadBySignal): Promise<void> {
  const pid = Number(given);
  if (!/^[1-9]\d{0,9}$/.test(given)) throw new FairleadError('ERR_CONFIG', `${given} is not the number of a process`);
  refuseOtherProgram(pid);
  const before = readNote(dataDir, pid)?.asked ?? 0;
  signal(pid);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const note = readNote(dataDir, pid);
    if (note && note.done > before) return finish(note, printing);
    if (performance.now() > deadline) {
      const told = `process ${pid} has not said within ${timeoutMs / 1_000} s what became of it: is ${dataDir} its data folder (FAIRLEAD_DATA)?`;
      throw new FairleadError('ERR_UNAVAILABLE', told);
    }
    await delay(LOOK_MS);
  }
}

/** A program without a handler would end by the signal. */
function refuseOtherProgram(pid: number): void {
  let status: string;
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    throw new FairleadError('ERR_UNAVAILABLE', `there is no process ${pid}`);
  }
  const caught = BigInt(`0x${/^SigCgt:\s*([\da-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  if ((caught & 1n) === 1n) return; // SIGHUP is the first
  throw new FairleadError('ERR_UNAVAILABLE', `process ${pid} is no server of Fairlead, or has only just started`);
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGHUP');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new FairleadError('ERR_UNAVAILABLE', `process ${pid} cannot be asked (${code})`, { cause: error });
  }
}

/** Undefined: there is none of this process. */
function readNote(dataDir: string, pid: number): Note | undefined {
  const file = reloadNoteFile(dataDir);
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) return undefined;
  const { data } = noteSchema.safeParse(JSON.parse(readFileSync(file, 'utf8')));
  return data?.pid === pid ? data : undefined;
}

function finish({ report, error, problems }: Note, printing: Printing): void {
  if (problems) throw new ConfigError(problems);
  if (!report) throw new FairleadError('ERR_CONFIG', error ?? 'the reload has failed');
  print(report, printing);
}

function print(report: Report, { json, write }: Printing): void {
  write(json ? `${JSON.stringify(report, null, 2)}\n` : reportText(report));
}

/** One line for each section. */
export function reportText({ changed, restart, warnings }: Report): string {
  const sections = Object.entries(changed).map(([section, keys]) =>
    keys.length === 0 ? section : `${section}: ${keys.join(', ')}`,
  );
  const lines = [
    ...(sections.length === 0 ? ['nothing has changed that counts now'] : sections.map((text) => `changed  ${text}`)),
    ...restart.map((key) => `restart  ${key} needs a restart`),
    ...warnings.map((warning) => `warning  ${warning}`),
  ];
  return lines.map((line) => `${inline(line)}\n`).join('');
}
