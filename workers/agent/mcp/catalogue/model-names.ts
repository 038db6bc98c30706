/** The name under which the model knows each tool: stable and unique. Pure; agent threads. */
import { createHash } from 'node:crypto';

/** The Messages API takes ^[a-zA-Z0-9_-]{1,64}$. */
const MAX_NAME = 64;
const HASH_CHARS = 6;

export type NameMode = 'auto' | 'always' | 'never';

export interface ServersTool {
  server: string;
  name: string;
}

/**
 * auto: the tool's own name if it is unique, else `server__tool`; always: `server__tool`; never: the tool's own name, which
 * goes to the first of several. Characters that the API refuses become `_`. A name that is then too long or not unique ends
 * with a hash of server and tool. A name thus depends only on the names that it collides with, not on their order.
 * Undefined: the tool has no name (`never` only). No tool gets a `reserved` name.
 */
export function modelNames(
  tools: readonly ServersTool[],
  mode: NameMode,
  reserved: ReadonlySet<string>,
): (string | undefined)[] {
  const owners = countBy(tools.map(({ name }) => apiName(name)));
  const wanted = tools.map(({ server, name }) => {
    const own = apiName(name);
    const alone = owners.get(own) === 1 && !reserved.has(own);
    return mode === 'never' || (mode === 'auto' && alone) ? name : `${server}__${name}`;
  });
  if (mode === 'never') return firstOfEach(wanted.map(apiName), reserved);
  const shared = countBy(wanted.map(apiName));
  const unchanged = countBy(wanted.filter((name) => name === apiName(name)));
  const taken = new Set(reserved);
  const names = tools.map((tool, index) => {
    const name = apiName(wanted[index]!);
    // A tool whose name needs no change has priority over tools whose names would become the same.
    const isFree = shared.get(name) === 1 || (wanted[index] === name && unchanged.get(name) === 1);
    return isFree && name.length <= MAX_NAME && !taken.has(name) ? name : hashedName(name, tool);
  });
  return firstOfEach(names, reserved);
}

function firstOfEach(names: readonly string[], reserved: ReadonlySet<string>): (string | undefined)[] {
  const taken = new Set(reserved);
  return names.map((name) => {
    const cut = name.slice(0, MAX_NAME);
    if (taken.has(cut)) return undefined;
    taken.add(cut);
    return cut;
  });
}

function hashedName(name: string, { server, name: own }: ServersTool): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([server, own]))
    .digest('hex')
    .slice(0, HASH_CHARS);
  return `${name.slice(0, MAX_NAME - HASH_CHARS - 1)}_${hash}`;
}

function apiName(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9_-]/g, '_') || '_';
}

function countBy(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
