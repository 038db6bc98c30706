/** What a client of Socket.IO asks for: in its `auth`, in the query, or as its library's connection state recovery. Pure. Main thread. */
export interface Wish {
  authorization: string;
  /** As that of an upgrade at /v1/ws. */
  query: string;
  /** It names its position, so the events after it are sent first. */
  replays: boolean;
}

/**
 * `auth` is the client's, unchecked. A token in the query is not looked at: addresses are logged. A client that comes back by itself
 * sends `pid`, which is its session, and `offset`, the last one it has got; both are newer than what the page has put into `auth`.
 */
export function wishOf(head: { authorization: string; query: string }, auth: Record<string, unknown>): Wish {
  const query = new URLSearchParams(head.query);
  const told = (name: string): string | undefined => textOf(auth[name]) ?? (query.get(name) || undefined);
  const pid = textOf(auth['pid']);
  const session = textOf(auth['session']) ?? textOf(auth['sessionId']) ?? pid ?? told('session') ?? told('sessionId');
  const after = (pid === session ? textOf(auth['offset']) : undefined) ?? told('after');
  const wish = new URLSearchParams();
  if (session !== undefined) wish.set('session', session);
  if (session !== undefined && after !== undefined) wish.set('after', after);
  const model = told('model');
  if (model !== undefined) wish.set('model', model);
  const token = textOf(auth['token']);
  return {
    authorization: token === undefined ? head.authorization : `Bearer ${token}`,
    query: wish.toString(),
    replays: wish.has('after'),
  };
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}
