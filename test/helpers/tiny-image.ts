/** Images of the tests' own, of a few hundred milliseconds each: busybox alone, with the command that a test wants. */
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import { docker } from './docker.js';

const BUSYBOX = '/bin/busybox';
const APPLETS = ['sh', 'cat', 'head', 'yes', 'sleep', 'id', 'env', 'tr', 'dd'];
let made = 0;

export interface TinyImage {
  readonly tag: string;
  remove(): Promise<void>;
}

/** An image whose command is `sh -c SCRIPT`; `changes` are further lines of a Dockerfile, such as VOLUME. */
export async function makeTinyImage(script: string, changes = ''): Promise<TinyImage> {
  const rootfs = pack();
  for (const folder of ['bin', 'tmp', 'workspace', 'proc', 'dev', 'sys', 'etc']) {
    rootfs.entry({ name: `${folder}/`, type: 'directory', mode: 0o755 });
  }
  rootfs.entry({ name: 'bin/busybox', mode: 0o755 }, await readFile(BUSYBOX));
  for (const applet of APPLETS) rootfs.entry({ name: `bin/${applet}`, type: 'symlink', linkname: 'busybox' });
  rootfs.finalize();
  const tag = `fairlead-test-tiny:${process.pid}-${++made}`;
  const [repo, name] = tag.split(':');
  const progress = await docker().importImage(Readable.from([await buffer(rootfs)], { objectMode: false }), {
    repo,
    tag: name,
    changes: `CMD ${JSON.stringify(['/bin/sh', '-c', script])}`,
  });
  await buffer(progress);
  if (changes !== '') {
    const container = await docker().createContainer({ Image: tag });
    await container.commit({ repo, tag: name, changes });
    await container.remove({ v: true });
  }
  return { tag, remove: async () => void (await docker().getImage(tag).remove({ force: true })) };
}

/** Copies its input to its output. */
export const ECHO = 'exec cat';

/** Takes the id out of `$line`, and answers with it. */
function answer(result: object): string {
  return `n=\${line#*'"id":'}; n=\${n%%,*}; n=\${n%%\\}*}; printf '%s\\n' '{"jsonrpc":"2.0","id":'"$n"',"result":${JSON.stringify(result)}}'`;
}

/** A small MCP server: the handshake, one tool, pings; a line that is anything else goes to `other`, as `$line`. */
export function tinyServer(other: string): string {
  const handshake = {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 'tiny', version: '1' },
  };
  const tools = [{ name: 'echo', description: 'Says it again', inputSchema: { type: 'object' } }];
  return `while IFS= read -r line; do case "$line" in
*'"method":"initialize"'*) ${answer(handshake)};;
*'"method":"tools/list"'*) ${answer({ tools })};;
*'"method":"ping"'*) ${answer({})};;
*'"method":"notifications/'*) ;;
*) ${other};;
esac; done`;
}
