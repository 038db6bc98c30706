/** What a machine without a network reaches of the world: a place that has the release, and a proxy for apt. */
import { spawn } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eachLine, stopChild, watchExit, within } from '../helpers/processes.js';

export const PORT = 3128;
const PIPE = fileURLToPath(new URL('pipe-main.js', import.meta.url));

/** `pid` is a process in the network of the machine. */
export async function openOutside(folder: string, pid: number, release: string): Promise<{ close(): Promise<void> }> {
  const socket = join(folder, 'outside');
  const server = createServer((asked, answer) => serve(asked, answer, release));
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const args = [`--net=/proc/${pid}/ns/net`, process.execPath, PIPE, String(PORT), socket];
  const child = spawn('nsenter', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = watchExit(child);
  const listens = new Promise<void>((resolve) => eachLine(child.stdout, () => resolve()));
  await within(listens, 30_000, () => 'the pipe to the outside does not listen');
  return {
    close: async () => {
      await stopChild(child, exited);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serve(asked: IncomingMessage, answer: ServerResponse, release: string): void {
  const { url = '', method, headers } = asked;
  if (url === `/${basename(release)}`) {
    createReadStream(release).pipe(answer);
    return;
  }
  if (!url.startsWith('http://')) {
    answer.writeHead(404).end();
    return;
  }
  const onward = request(url, { method, headers }, (got) => {
    answer.writeHead(got.statusCode ?? 502, got.headers);
    got.pipe(answer);
  });
  onward.on('error', () => answer.destroy());
  asked.pipe(onward);
}
