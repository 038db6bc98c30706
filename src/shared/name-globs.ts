/** Globs for names of servers and tools. Pure; every thread. */
import picomatch from 'picomatch';

/** `*` matches every tool, also one whose name has a slash or begins with a dot. */
const OPTIONS = { bash: true, dot: true };

export function nameGlob(glob: string | readonly string[]): (name: string) => boolean {
  const matches = picomatch(typeof glob === 'string' ? glob : [...glob], OPTIONS);
  return (name) => matches(name);
}

/** Decides which tools of a server the model may use, by its `tools.allow` and `tools.deny`. */
export function toolFilter({
  allow,
  deny,
}: {
  allow: readonly string[];
  deny: readonly string[];
}): (name: string) => boolean {
  const allowed = nameGlob(allow);
  const denied = nameGlob(deny);
  return (name) => allow.length > 0 && allowed(name) && !(deny.length > 0 && denied(name));
}
