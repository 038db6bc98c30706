/** A fingerprint of a sandbox, taken from inside: equal fingerprints mean that no session left anything. Docker thread. */
import { text } from 'node:stream/consumers';
import { FairleadError } from '../../../src/shared/errors.js';
import type { RunningSandbox } from '../driver/driver.js';

const MAX_DIFFERENCE = 300;

/**
 * Lists files in every writable place, processes, mounts, the server's environment and limits, and sockets. Of the
 * read-only root only the mount's kind is listed, since its layers' paths differ between containers. `$$` and its children
 * are this script, so they are left out.
 */
const SCRIPT = `
find /workspace /tmp /dev /run /var/tmp -mindepth 1 ! -path '/dev/pts/*' ! -path '/dev/fd/*' 2>/dev/null | sort
for p in /proc/[0-9]*; do
  n=\${p#/proc/}
  [ "$n" = $$ ] && continue
  grep -q "^PPid:[[:space:]]*$$$" $p/status 2>/dev/null && continue
  c=$(tr '\\0' ' ' < $p/cmdline 2>/dev/null) && [ -n "$c" ] && echo "process $c"
done
sed 's/^overlay .*/overlay/' /proc/mounts | sort
tr '\\0' '\\n' < /proc/1/environ | sort
cat /proc/1/limits
cat /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6 2>/dev/null | grep -c .
cat /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg 2>/dev/null
umask
`;

/** ERR_SANDBOX when the image lacks `sh`, `find` and the like. */
export async function fingerprintOf(sandbox: RunningSandbox, signal: AbortSignal): Promise<string> {
  const program = await sandbox.exec(['sh', '-c', SCRIPT], signal);
  program.stdin.end();
  const [seen, problems, code] = await Promise.all([text(program.stdout), text(program.stderr), program.exited]);
  if (code !== 0) {
    throw new FairleadError('ERR_SANDBOX', `the sandbox cannot be fingerprinted (${code}): ${problems.slice(0, 200)}`);
  }
  return seen;
}

/** The lines that only one of them has; '' when they are equal. */
export function differenceOf(first: string, now: string): string {
  const before = first.split('\n');
  const after = now.split('\n');
  const added = without(after, before).map((line) => `+ ${line}`);
  const gone = without(before, after).map((line) => `- ${line}`);
  return [...added, ...gone].join('; ').slice(0, MAX_DIFFERENCE);
}

/** Compares as multisets: a line that occurs twice must occur twice in the other too. */
function without(lines: readonly string[], others: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const line of others) left.set(line, (left.get(line) ?? 0) + 1);
  return lines.filter((line) => {
    const count = left.get(line) ?? 0;
    left.set(line, count - 1);
    return count <= 0;
  });
}
