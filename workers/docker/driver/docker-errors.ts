/** Classifies errors of the Docker API: whose fault, whether to retry, and which FairleadError. Docker thread. */
import { BrokenCircuitError, BulkheadRejectedError } from 'cockatiel';
import type Docker from 'dockerode';
import type { Config } from '../../../src/shared/config.js';
import { quote } from '../../../src/shared/control-characters.js';
import { DockerTimeout, howToGetImage } from '../../../src/shared/docker-client.js';
import { FairleadError, isFairleadError } from '../../../src/shared/errors.js';

const RETRY_AFTER_MS = 5_000;
const CONNECTION_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOENT', // no socket file
  'EAGAIN', // a unix socket whose backlog is full
  'EACCES',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
]);

export function statusOf(error: unknown): number | undefined {
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === 'number' ? status : undefined;
}

/** A daemon quotes what an image gives it, such as the name of a program: of any length, with any characters. */
function textOf(error: unknown): string {
  return quote(error instanceof Error ? error.message : String(error));
}

export function isConnectionError(error: unknown): boolean {
  return CONNECTION_CODES.has((error as NodeJS.ErrnoException | null)?.code ?? '');
}

/** A 500 about the image or its limits, not the daemon: Docker has no better code for what runc refuses. */
function isRuntimeRefusal(error: unknown): boolean {
  const text = textOf(error);
  if (/no space left on device/i.test(text)) return false; // the host's disk is full, which is no fault of the image
  return /OCI runtime|failed to create (?:task|shim)|unable to start container process/i.test(text);
}

/** The daemon's fault, where a retry may help. A passed deadline is not retried. */
export function isRetryable(error: unknown): boolean {
  return isConnectionError(error) || ((statusOf(error) ?? 0) >= 500 && !isRuntimeRefusal(error));
}

/** Counts towards the circuit breaker: one bad image must not open it for all others. */
export function isDaemonFault(error: unknown): boolean {
  return error instanceof DockerTimeout || isRetryable(error);
}

/** Whether a container may exist although `create` failed with this error. */
export function mayHaveCreated(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? '';
  if (error instanceof BrokenCircuitError || error instanceof BulkheadRejectedError) return false;
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return false;
  const status = statusOf(error);
  return status === undefined || status >= 500 || status === 409;
}

/** The error of a start, as the agent thread gets it: ERR_SANDBOX with what to change, or ERR_UNAVAILABLE. */
export function startError(error: unknown, server: string, image: string, config: Config): FairleadError {
  if (isFairleadError(error)) return error;
  if (error instanceof BrokenCircuitError) {
    return dockerUnavailable('Docker has failed several times in a row; calls are refused for a moment', error);
  }
  if (error instanceof BulkheadRejectedError)
    return dockerUnavailable('too many calls to Docker are waiting already', error);
  if (isConnectionError(error)) return dockerUnavailable('Docker does not answer', error);
  const text = textOf(error);
  const refused = (message: string): FairleadError => new FairleadError('ERR_SANDBOX', message, { cause: error });
  if (statusOf(error) === 404 && /no such image/i.test(text)) {
    return refused(`the image ${image} of ${server} is missing: ${howToGetImage(image)}`);
  }
  if (isRetryable(error)) return dockerUnavailable(`Docker failed: ${text}`, error);
  const { sandbox } = config;
  if (/runtime/i.test(text) && /unknown|invalid|not found/i.test(text) && !isRuntimeRefusal(error)) {
    return refused(`sandbox.runtime: Docker knows no runtime ${sandbox.runtime}`);
  }
  if (/memory/i.test(text)) return refused(`sandbox.memoryMb ${sandbox.memoryMb} was refused: ${text}`);
  if (/cpu/i.test(text)) return refused(`sandbox.cpus ${sandbox.cpus} was refused: ${text}`);
  if (/pids/i.test(text)) return refused(`sandbox.pids ${sandbox.pids} was refused: ${text}`);
  return refused(`the sandbox of ${server} (${image}) did not start: ${text}`);
}

/** The error of a program that was to run inside a sandbox. */
export function execError(error: unknown, command: readonly string[]): FairleadError {
  if (isFairleadError(error)) return error;
  if (isDaemonFault(error) || error instanceof BrokenCircuitError || error instanceof BulkheadRejectedError) {
    return dockerUnavailable('Docker does not answer', error);
  }
  return new FairleadError('ERR_SANDBOX', `${command[0]} did not start in the sandbox: ${textOf(error)}`, {
    cause: error,
  });
}

export function dockerUnavailable(message: string, cause: unknown): FairleadError {
  return new FairleadError('ERR_UNAVAILABLE', message, { cause, retryAfterMs: RETRY_AFTER_MS });
}

/** The exit code of a program that SIGKILL has ended. */
const KILLED = 137;

type ContainerState = Pick<Docker.ContainerInspectInfo['State'], 'Running' | 'StartedAt' | 'ExitCode' | 'OOMKilled'>;

/** Why a container that started then has ended; undefined: it runs. Docker 20.10 remembers that the kernel has killed any program in it, also one beside the server. */
export function endOf(
  { Running, StartedAt, ExitCode: code, OOMKilled: outOfMemory }: ContainerState,
  startedAt: string | undefined,
  { sandbox }: Pick<Config, 'sandbox'>,
): string | undefined {
  if (Running) return startedAt === undefined || StartedAt === startedAt ? undefined : 'its container was restarted';
  if (!outOfMemory) return `exited with code ${code}`;
  const limit = `${sandbox.memoryMb} MB for its programs and files (sandbox.memoryMb)`;
  if (code === KILLED) return `out of memory: the sandbox has ${limit}`;
  return `exited with code ${code}; a program in it was out of memory before: the sandbox has ${limit}`;
}

export function stopping(cause?: unknown): FairleadError {
  return new FairleadError('ERR_DRAINING', 'the server is stopping', { cause });
}
