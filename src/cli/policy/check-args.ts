/** Checks arguments against a rule's schema in a thread of its own, with the deadline of the server. Command line's process. */
import { Worker } from 'node:worker_threads';
import type { ArgsFit, CheckArgs } from '../../shared/policy/policy.js';
import type { CheckAnswer, CheckRequest } from '../../../workers/schema/messages.js';

const FILE = new URL('../../../workers/schema/index.js', import.meta.url);
const CHECK_MS = 1_000;

/** A thread for each check: few rules have `args`, and the process ends with its one answer. */
export const checkArgs: CheckArgs = (_rule, schema, args) =>
  new Promise<ArgsFit>((resolve, reject) => {
    const worker = new Worker(FILE, { name: 'schema', env: {}, execArgv: [] });
    let timer: NodeJS.Timeout | undefined;
    const end = (fit: ArgsFit): void => {
      clearTimeout(timer);
      void worker.terminate();
      resolve(fit);
    };
    worker.on('error', reject);
    worker.on('message', (answer: CheckAnswer) => {
      switch (answer.type) {
        case 'ready': {
          const request: CheckRequest = { schema: JSON.stringify(schema), value: JSON.stringify(args) };
          worker.postMessage(request);
          timer = setTimeout(() => end('unknown'), CHECK_MS);
          return;
        }
        case 'fits':
        case 'misfit':
          return end(answer.type);
        case 'no-schema':
          return end('unknown');
      }
    });
  });
