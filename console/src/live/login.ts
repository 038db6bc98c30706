/** Asks the server who is logged in, and logs in and out. */
import { ClientError, type Fairlead } from 'fairlead/client';

export interface Somebody {
  user: string;
  role: string;
  groups: string[];
  /** ms since the epoch. */
  expiresAt?: number;
}

export interface Standing {
  person?: Somebody;
  ways: ('token' | 'issuer')[];
}

export const readStanding = (client: Fairlead): Promise<Standing> => client.request('GET', '/v1/login');

export const logInByToken = (client: Fairlead, token: string): Promise<Somebody> =>
  client.request('POST', '/v1/login', { token });

/** The code of the link that the terminal prints stands behind the #, which browsers send to nobody. */
export function takeCode(): string | undefined {
  const code = /^#once=([\w-]+)$/.exec(location.hash)?.[1];
  if (code !== undefined) history.replaceState(undefined, '', location.pathname);
  return code;
}

export const logInByCode = (client: Fairlead, code: string): Promise<Somebody> =>
  client.request('POST', '/v1/login', { code });

export async function logOut(): Promise<void> {
  // It answers with a way to another page, which nobody here wants to see.
  const answer = await fetch('/auth/logout', { method: 'POST', redirect: 'manual' });
  if (answer.type !== 'opaqueredirect')
    throw new ClientError('ERR_UNAVAILABLE', 'the server cannot log out now: try again');
}
