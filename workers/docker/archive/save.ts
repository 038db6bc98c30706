/** Writes a sandbox's workspace into an archive file: all that can be read and put back, and the names of the rest. Docker thread. */
import { pipeline } from 'node:stream/promises';
import { onAbort, untilAborted } from '../../../src/shared/abort.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { Logger } from '../../../src/shared/log.js';
import type { SkippedFiles } from '../contract/messages.js';
import type { RunningSandbox } from '../driver/driver.js';
import { exitError, streamError, throwDisk } from './archive-errors.js';
import { ArchiveWriter, compressor } from './archive-file.js';
import { feed, isProcess, piecesOf, Stderr, workspaceOf } from './programs.js';
import { chmodDigits, SET_MODES } from './restore-script.js';
import { SaveFilter } from './save-filter.js';
import { MAX_PATH_BYTES, plainSaveProgram, saveProgram, type SaveProgram, type SaveRecord } from './save-script.js';
import { SkippedList } from './skipped-list.js';
import { readTarErrors } from './tar-errors.js';

/** tar ends with one of these when it went on after something that it could not read. */
const WENT_ON: readonly (number | null)[] = [1, 2];
const MODES_BACK_MS = 10_000;
const NOT_STARTED = 126;
const NO_FORK = /fork|resource temporarily unavailable/i;

export interface SaveJob {
  /** Of the file, which is written anew. */
  path: string;
  server: string;
  sandbox: RunningSandbox;
  /** Limit of the tar, in which holes are zeros. */
  maxBytes: number;
  /** Limit of what the files take when they are put back. */
  workspaceBytes: number;
  /** Longest wait for the next bytes. */
  stallMs: number;
  /** Of the save before: with an equal one nothing is written. */
  signature?: string | undefined;
  /** Slows the stream down. */
  pace?: ((bytes: number, signal: AbortSignal) => Promise<void>) | undefined;
  cut: AbortSignal;
  log: Logger;
}

export interface SaveResult {
  /** On disk; 0 for an empty workspace, which has no file. */
  bytes: number;
  savedAt: number;
  files: number;
  skipped: SkippedFiles;
  /** Of the workspace before the save; undefined: none was given. */
  signature: string | undefined;
  /** The signature is the one given: nothing was read. */
  unchanged: boolean;
}

type LeaveOut = ReadonlyMap<string, string>;

/** Without `result`: what another attempt has to leave out, or that it has to do without a shell. */
type Attempt = { result: SaveResult } | { result?: undefined; again: LeaveOut | 'without a shell' };

/** Errors as `Archives.save`. */
export async function saveWorkspace(job: SaveJob): Promise<SaveResult> {
  const folder = workspaceOf(job.sandbox);
  let leaveOut: LeaveOut = new Map();
  let program = saveProgram(folder, job.maxBytes, job.signature);
  for (let tries = 0; tries < 3; tries++) {
    const { result, ...next } = await attempt(job, program, leaveOut);
    if (result) return result;
    const { again } = next as { again: LeaveOut | 'without a shell' };
    if (again === 'without a shell') program = plainSaveProgram(folder);
    else leaveOut = again;
  }
  throw tooLarge(job);
}

async function attempt(job: SaveJob, { command, output }: SaveProgram, leaveOut: LeaveOut): Promise<Attempt> {
  const { server, sandbox, log } = job;
  const savedAt = Date.now();
  const skipped = new SkippedList();
  const tooLargeIs = isProcess(sandbox) ? () => tooLarge(job) : 'skip';
  const filter = new SaveFilter({ maxBytes: job.maxBytes, tooLarge: tooLargeIs, leaveOut }, skipped, output.records);
  const stall = new Stall(job);
  const writer = await ArchiveWriter.create(job.path).catch(throwDisk);
  try {
    const tar = await sandbox.exec(command, stall.signal);
    const stderr = new Stderr(tar);
    tar.stdin.end();
    await pipeline(
      tar.stdout,
      (source: AsyncIterable<Buffer>) => paced(source, job, stall),
      (source: AsyncIterable<Buffer>) => filter.pass(output.tar(source)),
      compressor(),
      (source: AsyncIterable<Buffer>) => writer.write(source).catch(throwDisk),
      { signal: stall.signal },
    ).catch((error: unknown) => {
      stall.signal.throwIfAborted();
      throw streamError(error, server);
    });
    const code = await stall.watch(() => untilAborted(stall.signal, () => tar.exited));
    const what = `the workspace of ${server} is not saved`;
    if (!output.began) {
      // At the sandbox's limit of processes Docker may say nothing more.
      const isStopped = code === NOT_STARTED && stderr.text === '';
      if (NO_FORK.test(stderr.text) || isStopped) return { again: 'without a shell' };
      if (code !== 0) throw exitError(code, stderr.text, what);
    }
    const { signature } = output;
    const unchanged = signature !== undefined && signature === job.signature;
    if (unchanged) return { result: { bytes: 0, savedAt, files: 0, skipped: skipped.result(), signature, unchanged } };
    noteLeftOut(output.records, job.maxBytes, skipped);
    const { notSaved, unknown } = readTarErrors(stderr.bytes);
    for (const { path, reason } of notSaved) skipped.add(path, reason);
    const wentOn = WENT_ON.includes(code) && notSaved.length > 0 && (unknown === undefined || stderr.isCut);
    if (code !== 0 && !wentOn) throw exitError(code, stderr.text, what);
    if (filter.problem !== undefined) throw new FairleadError('ERR_SANDBOX', `${what}: the tar: ${filter.problem}`);
    if (unknown !== undefined) log.warn({ server, tar: stderr.text }, 'hibernate: tar printed warnings');
    const { bytes: tarBytes, files, folders, withHoles } = filter;
    if (files + folders === 0 && skipped.count > 0)
      throw new FairleadError('ERR_SANDBOX', `${what}: nothing of it can be read`);
    if (filter.allocated > job.workspaceBytes && !isProcess(sandbox))
      return { again: moreToLeaveOut(job, filter, leaveOut) };
    const info = { tarBytes, files, folders, withHoles, savedAt, skipped: skipped.result() };
    const bytes = files + folders === 0 ? 0 : await writer.finish(info).catch(throwDisk);
    return { result: { bytes, savedAt, files, skipped: info.skipped, signature, unchanged } };
  } finally {
    stall.end();
    await writer.close();
    await putModesBack(sandbox, output.records, log);
  }
}

/** Aborts with the job, and when nothing moves for `stallMs`. */
class Stall {
  readonly #controller = new AbortController();
  readonly #stop: () => void;
  readonly #job: SaveJob;

  constructor(job: SaveJob) {
    this.#job = job;
    this.#stop = onAbort(job.cut, () => this.#controller.abort(job.cut.reason));
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async watch<T>(work: () => Promise<T>): Promise<T> {
    const { stallMs, server } = this.#job;
    const text = `the workspace of ${server} is not saved: its sandbox has sent nothing for ${stallMs} ms`;
    const timer = setTimeout(() => this.#controller.abort(new FairleadError('ERR_SANDBOX', text)), stallMs);
    try {
      return await work();
    } finally {
      clearTimeout(timer);
    }
  }

  end(): void {
    this.#stop();
  }
}

async function* paced(source: AsyncIterable<Buffer>, job: SaveJob, stall: Stall): AsyncGenerator<Buffer> {
  const chunks = source[Symbol.asyncIterator]();
  for (;;) {
    const next = await stall.watch(() => chunks.next());
    if (next.done === true) return;
    await job.pace?.(next.value.length, stall.signal);
    yield next.value;
  }
}

function noteLeftOut(records: readonly SaveRecord[], maxBytes: number, skipped: SkippedList): void {
  for (const { kind, path } of records) {
    if (kind === 'large') skipped.add(path, `it is larger than ${inMib(maxBytes)} MB, its holes counted as zeros`);
    if (kind === 'long') skipped.add(path, `what is in it has paths longer than ${MAX_PATH_BYTES} bytes`);
  }
}

/** The files that waste most, until the rest fits. */
function moreToLeaveOut(job: SaveJob, { allocated, wasteful }: SaveFilter, before: LeaveOut): LeaveOut {
  const leaveOut = new Map(before);
  let over = allocated - job.workspaceBytes;
  for (const { path, waste } of wasteful.toSorted((a, b) => b.waste - a.waste)) {
    if (over <= 0) return leaveOut;
    leaveOut.set(path, 'it has too many small holes, and as zeros they do not fit');
    over -= waste;
  }
  if (over > 0) throw tooLarge(job);
  return leaveOut;
}

/** The sandbox may go on after its save. Inner ones first: a folder that is closed again hides what is in it. */
async function putModesBack(sandbox: RunningSandbox, records: readonly SaveRecord[], log: Logger): Promise<void> {
  if (records.length === 0) return;
  const pairs = records.toReversed().map(({ mode, path }) => {
    const digits = chmodDigits(Number.parseInt(mode, 8));
    return Buffer.concat([Buffer.from(`${digits}\0`), path, Buffer.from([0])]);
  });
  const signal = AbortSignal.timeout(MODES_BACK_MS);
  try {
    const program = await sandbox.exec(['sh', '-c', SET_MODES, workspaceOf(sandbox)], signal);
    const { code, stderr } = await feed(program, piecesOf(pairs), signal);
    if (code !== 0) log.debug({ code, stderr }, 'not all modes could be put back after a save');
  } catch (error) {
    log.debug({ err: error }, 'modes could not be put back after a save: the sandbox is gone');
  }
}

function tooLarge({ server, maxBytes }: SaveJob): FairleadError {
  return new FairleadError(
    'ERR_SANDBOX',
    `the workspace of ${server} is not saved: its tar exceeds the limit of ${inMib(maxBytes)} MB (sandbox.workspaceMb)`,
  );
}

function inMib(bytes: number): number {
  return Math.round((bytes / 1_048_576) * 10) / 10;
}
