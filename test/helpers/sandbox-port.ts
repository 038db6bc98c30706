/** The agent thread's end of a sandbox's stdio, as tests hold it: collects what comes, acknowledges when told to. */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { StdioFromSandbox, StdioToSandbox } from '../../workers/docker/contract/messages.js';
import { deferred, within } from './processes.js';

const WAIT_MS = 30_000;

export class SandboxPort {
  /** The sandbox's end, to be transferred. */
  readonly far: MessagePort;
  readonly near: MessagePort;
  readonly #chunks: Uint8Array[] = [];
  readonly #exit = deferred<{ code: number | null; reason: string }>();
  readonly #closed = deferred<undefined>();
  readonly #waiting = new Set<() => void>();
  /** Bytes of stdout that came, kept or not. */
  bytes = 0;
  stderr = '';
  acks: boolean;
  keeps: boolean;

  constructor({ acks = true, keeps = true } = {}) {
    this.acks = acks;
    this.keeps = keeps;
    const { port1, port2 } = new MessageChannel();
    this.near = port1;
    this.far = port2;
    port1.on('close', () => this.#closed.resolve(undefined));
    port1.on('message', (message: StdioFromSandbox) => this.#receive(message));
  }

  #receive(message: StdioFromSandbox): void {
    switch (message.type) {
      case 'stdout':
        this.bytes += message.data.byteLength;
        if (this.keeps) this.#chunks.push(message.data);
        if (this.acks) this.send({ type: 'ack', bytes: message.data.byteLength });
        break;
      case 'stderr':
        this.stderr += message.text;
        break;
      case 'exit':
        this.#exit.resolve({ code: message.code, reason: message.reason });
        break;
    }
    for (const check of this.#waiting) check();
  }

  send(message: StdioToSandbox): void {
    this.near.postMessage(message);
  }

  write(text: string): void {
    this.send({ type: 'stdin', data: new TextEncoder().encode(text) });
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  /** Resolves after the message that makes it true. */
  until(condition: () => boolean): Promise<void> {
    const done = new Promise<void>((resolve) => {
      const check = (): void => {
        if (!condition()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
      check();
    });
    return within(done, WAIT_MS, () => `not so after ${WAIT_MS} ms; stdout ${this.bytes} bytes, stderr ${this.stderr}`);
  }

  exit(): Promise<{ code: number | null; reason: string }> {
    return within(this.#exit.promise, WAIT_MS, () => `no exit within ${WAIT_MS} ms`);
  }

  closed(): Promise<undefined> {
    return within(this.#closed.promise, WAIT_MS, () => `not closed within ${WAIT_MS} ms`);
  }

  close(): void {
    this.near.close();
  }
}
