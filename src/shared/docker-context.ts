/** Finds where the `docker` command would go, which Fairlead does not follow: its context. Main thread and command line. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface DockerContext {
  name: string;
  /** As in DOCKER_HOST; absent where its file cannot be read. */
  host?: string;
}

/** The context in use; undefined: the command has none but its default, or there is no such command. */
export function dockerContext(env: NodeJS.ProcessEnv = process.env): DockerContext | undefined {
  const folder = env['DOCKER_CONFIG'] || join(homedir(), '.docker');
  const chosen = env['DOCKER_CONTEXT'] || textAt(readJson(join(folder, 'config.json')), ['currentContext']);
  if (chosen === undefined || chosen === '' || chosen === 'default') return undefined;
  const id = createHash('sha256').update(chosen).digest('hex');
  const host = textAt(readJson(join(folder, 'contexts', 'meta', id, 'meta.json')), ['Endpoints', 'docker', 'Host']);
  return { name: chosen, ...(host === undefined ? {} : { host }) };
}

/** Undefined for a file that is missing, not for us, or no JSON: it is the command's, and nobody need have it. */
function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function textAt(value: unknown, path: readonly string[]): string | undefined {
  let found = value;
  for (const key of path) found = (found as Record<string, unknown> | null | undefined)?.[key];
  return typeof found === 'string' ? found : undefined;
}
