/** Judges a Redis URL and shows its address. Neither shows a part of the password, wherever in the URL it is. Pure; every thread. */

/** The problem of `store.redisUrl`, or undefined. */
export function redisUrlProblem(url: string): string | undefined {
  const [, rest] = /^rediss?:\/\/(.*)$/s.exec(url) ?? [];
  if (rest === undefined) return 'must be a URL that starts with redis:// or rediss://';
  // Such a character ends the host, so that the beginning of the password would be taken for host and port, and be shown.
  const credentials = rest.slice(0, Math.max(rest.lastIndexOf('@'), 0));
  const [odd] = /[#?/]/.exec(credentials) ?? /#/.exec(rest) ?? [];
  if (odd !== undefined) return `has a ${odd} where none can be: in user and password write ${escapeOf(odd)} for it`;
  if (!URL.canParse(url)) return 'is not a URL: redis://[USER:PASSWORD@]HOST[:PORT][/DB] is expected';
  const { pathname, username, password } = new URL(url);
  if (!/^(?:\/\d*)?$/.test(pathname)) return 'must have a number after its last /: the database';
  try {
    decodeURIComponent(username + password);
  } catch (error) {
    if (error instanceof URIError) return 'has a % in user or password: write %25 for it';
    throw error;
  }
  return undefined;
}

/** Of a valid URL: without user and password. */
export function redisAddress(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

function escapeOf(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
