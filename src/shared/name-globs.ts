/** Globs over names of servers and tools. Pure; every thread. */
import picomatch from 'picomatch';

/** A tool's name may hold a slash or begin with a dot, and `*` means every tool. */
const OPTIONS = { bash: true, dot: true };

export function nameGlob(glob: string | readonly string[]): (name: string) => boolean {
  const matches = picomatch(typeof glob === 'string' ? glob : [...glob], OPTIONS);
  return (name) => matches(name);
}

/** `tools.allow` and `tools.deny` of a server: which of its tools the model may know. */
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
