/** Attacks that make noise: started in a sandbox, going on until they are stopped, while somebody else is measured. */
import { once } from 'node:events';
import type { RunningSandbox } from '../../../../../workers/docker/driver/driver.js';
import { StdioRelay } from '../../../../../workers/docker/lease/stdio-relay.js';
import { docker } from '../../../../helpers/docker.js';
import { SandboxPort } from '../../../../helpers/sandbox-port.js';

const MIB = 1_048_576;
const BOMB = 'const all = []; for (;;) all.push(Buffer.alloc(1048576, 1));';

/** Shell scripts, each without an end of its own. */
export const LOUD = {
  'a fork bomb': 'bomb() { bomb | bomb & }; bomb; sleep 600',
  'a memory bomb': `while :; do node -e '${BOMB}'; done`,
  'a disk filler': 'while :; do dd if=/dev/zero of=/workspace/full bs=1M; rm -f /workspace/full; done',
  'a CPU spin': 'for i in 1 2 3 4; do while :; do :; done & done; wait',
} as const;

export interface Loud {
  /** Resolves with the first that its programs complain of. */
  readonly complaint: Promise<string>;
  stop(): Promise<void>;
}

export async function loud(box: RunningSandbox, script: string): Promise<Loud> {
  const cut = new AbortController();
  const program = await box.exec(['sh', '-c', `echo begins; ${script}`], cut.signal);
  const complaint = new Promise<string>((resolve) => {
    let said = '';
    program.stderr.on('data', (data: Buffer) => {
      if (said.length < MIB) said += data.toString();
      if (said.includes('\n')) resolve(said);
    });
  });
  await new Promise((resolve) => program.stdout.once('data', resolve));
  program.stdout.resume();
  return {
    complaint,
    async stop() {
      cut.abort();
      await program.exited;
    },
  };
}

export interface Flood extends Loud {
  /** Resolves when so much has come. */
  until(bytes: number): Promise<void>;
}

/**
 * Ten gigabytes of lines on the stdout of the sandbox's own server, through the relay to a reader that takes all. A command
 * cannot write there; this is the server's own user, as in an image with one.
 */
export async function flood(box: RunningSandbox): Promise<Flood> {
  const port = new SandboxPort({ keeps: false });
  const relay = new StdioRelay(port.far);
  relay.attach(box);
  const exec = await docker()
    .getContainer(box.id)
    .exec({ Cmd: ['sh', '-c', 'yes | head -c 10737418240 > /proc/1/fd/1'], AttachStdout: true });
  const source = await exec.start({});
  const ended = once(source.resume(), 'close');
  await port.until(() => port.bytes > 0);
  return {
    complaint: ended.then(() => 'ended'),
    until: (bytes) => port.until(() => port.bytes >= bytes),
    async stop() {
      relay.end(null, 'cut off');
      await port.closed();
      source.destroy();
      await ended;
    },
  };
}

/** Looks every 20 ms; `stop` answers by how many bytes the process has grown at most. */
export function watchMemory(): { stop(): number } {
  const before = process.memoryUsage.rss();
  let most = before;
  const look = (): void => {
    most = Math.max(most, process.memoryUsage.rss());
  };
  const timer = setInterval(look, 20);
  return {
    stop() {
      clearInterval(timer);
      look();
      return most - before;
    },
  };
}
