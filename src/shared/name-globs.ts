/** Globs for names of servers and tools. Pure; every thread. */
import picomatch from 'picomatch';

/** `*` matches every tool, also one whose name has a slash or begins with a dot. */
const OPTIONS = { bash: true, dot: true };

export function nameGlob(glob: string | readonly string[]): (name: string) => boolean {
  const matches = picomatch(typeof glob === 'string' ? glob : [...glob], OPTIONS);
  return (name) => matches(name);
}

/** Names of users have characters of patterns in them (`auth0|7`, `a+b@x`), so that `*` alone stands for any part of one. */
export function userWildcard(pattern: string | readonly string[]): (user: string) => boolean {
  const patterns = typeof pattern === 'string' ? [pattern] : pattern;
  const split = patterns.map((each) => each.split('*'));
  return (user) => split.some((parts) => hasParts(user, parts));
}

/** The parts stand in this order, the first at the start and the last at the end. No regular expression: its time would grow with each `*`. */
function hasParts(name: string, [first = '', ...others]: readonly string[]): boolean {
  const last = others.pop();
  if (last === undefined) return name === first;
  const end = name.length - last.length;
  if (first.length > end || !name.startsWith(first) || !name.endsWith(last)) return false;
  let from = first.length;
  for (const part of others) {
    const at = name.indexOf(part, from);
    if (at < 0 || at + part.length > end) return false;
    from = at + part.length;
  }
  return true;
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
