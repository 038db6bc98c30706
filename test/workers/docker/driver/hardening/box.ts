/** Sandboxes to attack from inside: small limits, programs run in them, and their server's tools by JSON-RPC lines. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { parseConfig } from '../../../../../src/shared/config.js';
import { isFairleadError } from '../../../../../src/shared/errors.js';
import { createLog } from '../../../../../src/shared/log.js';
import { DockerDriver } from '../../../../../workers/docker/driver/docker-driver.js';
import type { RunningSandbox } from '../../../../../workers/docker/driver/driver.js';
import { docker, dockerHost, WORKSPACE_IMAGE } from '../../../../helpers/docker.js';
import { within } from '../../../../helpers/processes.js';

export const LIMITS = { memoryMb: 200, workspaceMb: 32, tmpMb: 16, shmMb: 16, pids: 64, cpus: 0.5 };
export const MIB = 1_048_576;
const WAIT_MS = 30_000;
const REMOVE_MS = 60_000;
const config = parseConfig({ sandbox: LIMITS }, { DOCKER_HOST: dockerHost() });
const driver = new DockerDriver(config, randomUUID(), createLog('test', 'silent'));

interface Teardown {
  teardown: (fn: () => Promise<void>) => unknown;
}

/** Gone with the test that it is started for. */
export async function startBox(t: Teardown, image = WORKSPACE_IMAGE): Promise<RunningSandbox> {
  const box = await driver.start({
    name: `fairlead-test-${randomUUID()}`,
    server: 'workspace',
    image,
    imageId: await driver.resolveImage(image, 'workspace'),
    env: {},
    signal: new AbortController().signal,
  });
  t.teardown(() => remove(box));
  box.stderr.resume();
  return box;
}

/** A daemon under load may take longer than one removal waits. The next reconcile would try again. */
export async function remove(box: RunningSandbox): Promise<void> {
  try {
    await box.destroy();
  } catch (error) {
    if (!isFairleadError(error) || error.code !== 'ERR_UNAVAILABLE') throw error;
    const container = docker().getContainer(box.id);
    await container.unpause().catch(() => undefined); // what is frozen does not die
    const removed = container.remove({ force: true, v: true }).catch(gone);
    await within(removed, REMOVE_MS, () => `Docker does not remove ${box.id}`);
  }
}

/** 409: its removal is under way. */
function gone(error: { statusCode?: number }): void {
  if (error.statusCode !== 404 && error.statusCode !== 409) throw error;
}

export interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs it to its end; `input` is all of its standard input. */
export async function run(box: RunningSandbox, command: readonly string[], input: string | Buffer = ''): Promise<Ran> {
  const program = await box.exec(command, new AbortController().signal);
  program.stdin.end(input);
  const done = Promise.all([text(program.stdout), text(program.stderr), program.exited]);
  const [stdout, stderr, code] = await within(done, WAIT_MS, () => `${command.join(' ')} still runs`);
  return { code, stdout, stderr };
}

export function sh(box: RunningSandbox, script: string): Promise<Ran> {
  return run(box, ['sh', '-c', script]);
}

/** Runs a module of this folder with the sandbox's own node and answers the JSON that it prints. */
export async function inside<T>(box: RunningSandbox, module: string, ...args: string[]): Promise<T> {
  const source = await readFile(new URL(module, import.meta.url));
  const { code, stdout, stderr } = await run(box, ['node', '--input-type=module', '-', ...args], source);
  if (code !== 0) throw new Error(`${module} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

interface Response {
  id?: number;
  result?: { isError?: boolean; content?: { text?: string }[]; _meta?: Record<string, unknown> };
  error?: { message: string };
}

/** The sandbox's own server, spoken to as plainly as the protocol allows: one line out, one line back. */
export class ToolLines {
  readonly #box: RunningSandbox;
  readonly #waiting = new Map<number, (response: Response) => void>();
  #last = 0;

  private constructor(box: RunningSandbox) {
    this.#box = box;
    createInterface({ input: box.stdout }).on('line', (line) => {
      const response = JSON.parse(line) as Response;
      this.#waiting.get(response.id ?? 0)?.(response);
    });
  }

  static async open(box: RunningSandbox): Promise<ToolLines> {
    const tools = new ToolLines(box);
    const clientInfo = { name: 'hardening', version: '1' };
    await tools.#request('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo });
    tools.#send({ method: 'notifications/initialized' });
    return tools;
  }

  async call(name: string, args: Record<string, unknown>): Promise<NonNullable<Response['result']>> {
    const { result, error } = await this.#request('tools/call', { name, arguments: args });
    if (!result) throw new Error(error?.message ?? 'neither result nor error');
    return result;
  }

  /** How long this many calls of list_files took, in ms, one every 25 ms. */
  async times(calls: number): Promise<number[]> {
    const took: number[] = [];
    for (let i = 0; i < calls; i++) {
      const began = performance.now();
      const { isError } = await this.call('list_files', { path: '.' });
      if (isError) throw new Error('list_files failed');
      took.push(performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    return took;
  }

  #request(method: string, params: object): Promise<Response> {
    const id = ++this.#last;
    const answer = new Promise<Response>((resolve) => this.#waiting.set(id, resolve));
    this.#send({ id, method, params });
    return within(answer, WAIT_MS, () => `no answer to ${method}`).finally(() => this.#waiting.delete(id));
  }

  #send(message: object): void {
    this.#box.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  }
}
