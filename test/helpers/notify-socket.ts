/**
 * The receiving end of NOTIFY_SOCKET, as systemd has it: a datagram socket that knows the sender's process. Node has none of
 * that family, Python does, and it is there because the lz4 addon is built with it. Runs in tests.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eachLine, stopChild, watchExit, within } from './processes.js';
import { extendPath, findProgram } from './programs.js';

const WAIT_MS = 20_000;
const RECEIVER = `
import json, os, socket, struct, sys
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind('\\0' + path[1:] if path[0] == '@' else path)
print(json.dumps({'pid': 0, 'state': 'bound'}), flush=True)
while True:
    data, ancillary, _, _ = s.recvmsg(65536, 64)
    pid = struct.unpack('3i', ancillary[0][2][:12])[0]
    print(json.dumps({'pid': pid, 'state': data.decode()}), flush=True)
`;

export interface Notification {
  /** Who sent it, as the kernel says. */
  pid: number;
  /** One assignment a line. */
  state: string;
}

export interface NotifySocket {
  /** For NOTIFY_SOCKET. */
  path: string;
  /** All that came, in their order. */
  received: Notification[];
  /** Resolves with the first one at or after index `from` that matches, here or yet to come. */
  waitFor(matches: (state: string) => boolean, options?: { from?: number; timeoutMs?: number }): Promise<Notification>;
  close(): Promise<void>;
}

/** `abstract`: in the kernel's name space instead of the file system's. */
export async function openNotifySocket({ abstract = false } = {}): Promise<NotifySocket> {
  extendPath();
  const python = findProgram('python3');
  if (python === undefined) throw new Error('python3 is not there, and the lz4 addon could not be built without it');
  const name = `fl-notify-${randomUUID()}`;
  const path = abstract ? `@${name}` : join(tmpdir(), name);
  const child = spawn(python, ['-c', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = watchExit(child);
  const received: Notification[] = [];
  const watchers = new Set<() => void>();
  eachLine(child.stdout, (line) => {
    received.push(JSON.parse(line) as Notification);
    for (const look of watchers) look();
  });
  const waitFor: NotifySocket['waitFor'] = async (matches, { from = 0, timeoutMs = WAIT_MS } = {}) => {
    let look: (() => void) | undefined;
    const found = new Promise<Notification>((resolve) => {
      look = () => {
        const hit = received.slice(from).find(({ state }) => matches(state));
        if (hit) resolve(hit);
      };
      watchers.add(look);
      look();
    });
    try {
      return await within(found, timeoutMs, () => `not told in ${timeoutMs} ms; told: ${JSON.stringify(received)}`);
    } finally {
      if (look) watchers.delete(look);
    }
  };
  await waitFor((state) => state === 'bound');
  received.length = 0;
  const close = async (): Promise<void> => {
    await stopChild(child, exited);
    if (!abstract) await rm(path, { force: true });
  };
  return { path, received, waitFor, close };
}
