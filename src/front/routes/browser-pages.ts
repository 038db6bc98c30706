/** What a person sees of logging in and out, as HTML without scripts. Main thread; pure. */
import type { Person } from '../../shared/person.js';
import type { Exchange, Header } from '../http.js';
import { markup, sendPage, type Html } from './login-pages.js';

/** Who is logged in, and how to log out. */
export function ownPage(exchange: Exchange, person: Person, headers: readonly Header[]): void {
  const { user, role, groups, expiresAt } = person;
  const of = groups.length === 0 ? markup`` : markup` of ${groups.join(', ')}`;
  const until =
    expiresAt === undefined ? markup`` : markup`<p>This login ends at ${new Date(expiresAt).toISOString()}.</p>`;
  const body = markup`
<p>You are logged in as <strong>${user}</strong> (${role}${of}).</p>
${until}
<form method="post" action="/auth/logout"><button type="submit">Log out</button></form>`;
  sendPage(exchange, 200, { title: 'Fairlead', body, hasForm: true, headers });
}

export interface StrangerPage {
  /** Why there is nobody, in words. */
  why: string;
  /** There is an issuer to log in at. */
  logIn: boolean;
  /** Where the issuer ends its own session. */
  endSessionUrl?: string | undefined;
}

export function strangerPage(
  exchange: Exchange,
  { why, logIn, endSessionUrl }: StrangerPage,
  headers: readonly Header[],
): void {
  const how: Html = logIn
    ? markup`<p><a href="/auth/login">Log in</a></p>`
    : markup`<p>On a terminal, <code>fairlead serve</code> prints a link that logs a browser in.</p>`;
  const there =
    endSessionUrl === undefined
      ? markup``
      : markup`<p>You may still be logged in at <a href="${endSessionUrl}" rel="noreferrer">${new URL(endSessionUrl).host}</a>.</p>`;
  sendPage(exchange, 200, { title: 'Fairlead', body: markup`<p>${why}.</p>${how}${there}`, headers });
}

/** The button, and not the link, logs in: programs open links to show what is behind them. */
export function linkPage(exchange: Exchange, user: string): void {
  const body = markup`
<p>This link logs this browser in as <strong>${user}</strong>, the owner of this server. It is good for once.</p>
<form method="post"><button type="submit">Log in as ${user}</button></form>`;
  sendPage(exchange, 200, { title: 'Log in to Fairlead', body, hasForm: true });
}

/** Whoever is blocked is not told that they are logged in: no request of theirs is served. */
export function blockedPage(exchange: Exchange, user: string, headers: readonly Header[] = []): void {
  failedPage(exchange, 403, `The user ${user} is blocked here: an administrator can end that`, headers);
}

export function failedPage(exchange: Exchange, status: number, message: string, headers: readonly Header[] = []): void {
  const body = markup`<p>${message}.</p><p><a href="/auth">Go back</a></p>`;
  sendPage(exchange, status, { title: 'The login did not work', body, headers });
}
