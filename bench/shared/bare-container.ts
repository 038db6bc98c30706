/** What benches compare with: containers made by dockerode alone with Fairlead's options, and a handshake by hand. */
import type Docker from 'dockerode';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { randomBytes } from 'node:crypto';
import type { Config } from '../../src/shared/config.js';
import { dockerClient } from '../../src/shared/docker-client.js';
import { dockerHost, WORKSPACE_IMAGE } from '../../test/helpers/docker.js';
import { containerOptions, LABEL_INSTANCE } from '../../workers/docker/driver/container-options.js';
import { demux } from '../../workers/docker/driver/demux.js';

/** A cheap tool, so that what surrounds it shows. */
export const LIST_FILES = { name: 'list_files', arguments: { path: '/workspace' } };

export class BareContainer {
  readonly #container: Docker.Container;
  readonly #socket: Duplex;
  readonly #waiting = new Map<number, (answer: string) => void>();
  #unfinished = '';
  #nextId = 0;

  private constructor(container: Docker.Container, socket: Duplex) {
    this.#container = container;
    this.#socket = socket;
    const { stdout, stderr } = demux(socket);
    stdout.on('data', (chunk: Buffer) => this.#read(chunk.toString()));
    stderr.resume();
  }

  /** Resolves when the container runs and its stdio is attached; nothing was written yet. */
  static async make(docker: Docker, config: Config, instance: string, imageId: string): Promise<BareContainer> {
    const name = `fairlead-bench-${randomBytes(8).toString('hex')}`;
    const request = { name, server: 'workspace', image: imageId, env: {}, volumes: [], signal: NEVER };
    // One process in place of two: what a container costs at least.
    const users = { server: config.sandbox.uids.from, runner: config.sandbox.uids.from + 1 };
    const container = await docker.createContainer(containerOptions(request, instance, config.sandbox, { users }));
    const options = { stream: true, stdin: true, stdout: true, stderr: true, hijack: true };
    const socket = (await container.attach(options)) as Duplex;
    socket.on('error', () => undefined); // the container is removed while we are attached
    await container.start();
    return new BareContainer(container, socket);
  }

  async handshake(): Promise<void> {
    await this.request('initialize', {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'bench', version: '0' },
    });
    this.#socket.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n');
  }

  /** Resolves with the answer's line. */
  request(method: string, params: object): Promise<string> {
    const id = this.#nextId++;
    const answered = new Promise<string>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`);
    return answered;
  }

  /** ms from the line written to its answer read. */
  async call(tool: { name: string; arguments: object } = LIST_FILES): Promise<number> {
    const before = performance.now();
    const answer = await this.request('tools/call', tool);
    const ms = performance.now() - before;
    checkAnswer(answer);
    return ms;
  }

  async remove(): Promise<void> {
    await this.#container.remove({ force: true, v: true });
    if (!this.#socket.destroyed) {
      this.#socket.destroy();
      await once(this.#socket, 'close');
    }
  }

  #read(text: string): void {
    const lines = (this.#unfinished + text).split('\n');
    this.#unfinished = lines.pop() ?? '';
    for (const line of lines) {
      const { id } = JSON.parse(line) as { id?: number };
      if (id === undefined) continue;
      this.#waiting.get(id)?.(line);
      this.#waiting.delete(id);
    }
  }
}

const NEVER = new AbortController().signal;

/** Throws on an error: it would count as a fast call. */
export function checkAnswer(line: string): void {
  const { result } = JSON.parse(line) as { result?: { isError?: boolean } };
  if (!result || result.isError === true) throw new Error(`the tool failed: ${line.slice(0, 300)}`);
}

/** The bare containers of one bench, all removed at its end whatever has happened. */
export class BareContainers {
  readonly #docker = dockerClient(dockerHost());
  readonly #config: Config;
  readonly #instance: string;
  #imageId: Promise<string> | undefined;

  constructor(config: Config, instance: string) {
    this.#config = config;
    this.#instance = instance;
  }

  /** Resolves the image once, as the pool does. */
  async make(): Promise<BareContainer> {
    this.#imageId ??= this.#docker
      .getImage(WORKSPACE_IMAGE)
      .inspect()
      .then(({ Id }) => Id);
    return BareContainer.make(this.#docker, this.#config, this.#instance, await this.#imageId);
  }

  /** Also those that a broken run left. */
  async removeAll(): Promise<void> {
    const filters = { label: [`${LABEL_INSTANCE}=${this.#instance}`] };
    const left = await this.#docker.listContainers({ all: true, filters });
    await Promise.allSettled(left.map(({ Id }) => this.#docker.getContainer(Id).remove({ force: true, v: true })));
  }
}
