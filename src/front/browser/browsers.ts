/** The browsers that are logged in: gives them their cookie, and turns it back into a person. Main thread. */
import { FairleadError } from '../../shared/errors.js';
import type { Person, Role } from '../../shared/person.js';
import { LOCAL_USER } from '../../shared/token-file.js';
import { CookieSealer } from './cookie-seal.js';
import { cookieValues, dropCookie, MAX_COOKIE_BYTES, sessionCookieName, setCookie, type Site } from './cookie-text.js';
import { EndedLogins } from './ended-logins.js';
import { newLoginId, type IssuerLogin, type Login } from './login.js';
import { changesSomething, isOwnPage, mayRead, type CookieHead } from './same-origin.js';

/** A host has one cookie of ours. Others of the same name were put beside it, and are looked at within reason. */
const MAX_TRIED = 3;
/** A cookie is given anew when this part of its time is over. */
const RENEW_AT = 0.25;

export interface BrowsersOptions {
  /** 64 hex digits each: the first seals the cookies, all open them. */
  keys: readonly [string, ...string[]];
  site: () => Site;
  /** A login ends after so long, however much it is used. */
  sessionMs: number;
  /** A cookie that is not used for so long is void. */
  idleMs: number;
  /** The only issuer whose logins count, and what groups make of a user; undefined: they let nobody in. Absent: none counts. */
  issuer?: { issuer: string; roleOf: (groups: readonly string[]) => Role | undefined };
  /** Tells the token of the data folder from others. Absent: the user `local` does not log in. */
  localToken?: string;
  now?: () => number;
}

/** What is sealed: the login, and since when this cookie counts. Short names, since a cookie has little room. */
interface Kept {
  login: Login;
  at: number;
}

interface Opened extends Kept {
  /** Sealed with a key that may go soon. */
  isOld: boolean;
  /** Whose token stands behind the login. */
  tokenOf?: Person;
}

/** Whose token has this SHA-256 now, or why it lets nobody in. */
export type TokenLookUp = (sha256: string, address: string) => Person | FairleadError;

export class Browsers {
  readonly ended: EndedLogins;
  readonly #options: BrowsersOptions;
  readonly #sealer: CookieSealer;
  readonly #now: () => number;
  /** Of whom a cookie was read. Sockets keep the person. */
  readonly #kept = new WeakMap<Person, Opened>();
  /** The front sets it, which knows the tokens. */
  findToken: TokenLookUp = () => new FairleadError('ERR_UNAUTHORIZED', 'no tokens are known here');

  constructor(options: BrowsersOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#sealer = new CookieSealer(options.keys);
    this.ended = new EndedLogins({ sessionMs: options.sessionMs, now: this.#now });
  }

  get sealer(): CookieSealer {
    return this.#sealer;
  }

  get site(): Site {
    return this.#options.site();
  }

  /** Undefined without our cookie. ERR_UNAUTHORIZED, ERR_FORBIDDEN_ORIGIN, ERR_UNAVAILABLE. */
  identify(head: CookieHead): Person | FairleadError | undefined {
    const values = this.#values(head.cookie);
    if (values.length === 0) return undefined;
    const trusted = changesSomething(head) ? isOwnPage(head, this.site.base) : mayRead(head);
    if (!trusted) {
      return new FairleadError(
        'ERR_FORBIDDEN_ORIGIN',
        'the cookie of a browser counts on this server’s own pages alone: other clients send a token',
      );
    }
    const kept = this.#open(values);
    if (!kept)
      return new FairleadError('ERR_UNAUTHORIZED', 'the login of this browser has ended, or is not of this server');
    if (this.ended.has(kept.login)) return new FairleadError('ERR_UNAUTHORIZED', 'this browser has logged out');
    const { id, user, groups, by, endsAt } = kept.login;
    if (by.kind === 'token') return this.#behindToken(kept, by.sha256, head.address ?? '');
    const role = by.kind === 'link' ? 'admin' : this.#options.issuer?.roleOf(groups);
    if (role === undefined) return new FairleadError('ERR_UNAUTHORIZED', `${user} is in no group that is let in here`);
    const person: Person = { user, role, groups, credential: `cookie:${id}`, expiresAt: endsAt };
    this.#kept.set(person, kept);
    return person;
  }

  /** As the token says now: whoever has logged in with it is nobody else than who sends it. */
  #behindToken(kept: Opened, sha256: string, address: string): Person | FairleadError {
    const found = this.findToken(sha256, address);
    if (found instanceof FairleadError) return found;
    const person: Person = {
      user: found.user,
      credential: found.credential,
      expiresAt: Math.min(kept.login.endsAt, found.expiresAt ?? Infinity),
      // Read when they are asked for: a reload may change them under an open socket.
      get role() {
        return found.role;
      },
      get groups() {
        return found.groups;
      },
    };
    this.#kept.set(person, { ...kept, tokenOf: found });
    return person;
  }

  /** Whose token stands behind this person's cookie; undefined for people with other credentials. */
  tokenOf(person: Person): Person | undefined {
    return this.#kept.get(person)?.tokenOf;
  }

  /** The login that a person's cookie told; undefined for people with other credentials. */
  loginOf(person: Person): Login | undefined {
    return this.#kept.get(person)?.login;
  }

  /** The person came with a cookie whose login has ended since. */
  hasEnded(person: Person): boolean {
    const login = this.loginOf(person);
    return login !== undefined && this.ended.has(login);
  }

  /** The login of this browser, also one that has ended: a log-out may be repeated. */
  lastLogin({ cookie }: Pick<CookieHead, 'cookie'>): Login | undefined {
    return this.#open(this.#values(cookie))?.login;
  }

  /** The cookie's text when it is to be given anew: a part of its time is over, or another key seals now. */
  renewal(person: Person): string | undefined {
    const kept = this.#kept.get(person);
    if (!kept || (!kept.isOld && this.#now() - kept.at < this.#options.idleMs * RENEW_AT)) return undefined;
    return this.#cookie(kept.login);
  }

  /** ERR_TOO_LARGE where the groups do not fit into a cookie. */
  logIn({ user, groups, by }: Pick<Login, 'user' | 'groups'> & { by: IssuerLogin }): { login: Login; cookie: string } {
    return this.#begin({ user, groups, by });
  }

  /** Undefined where the user `local` does not log in. */
  logInLocal(): { login: Login; cookie: string } | undefined {
    const { localToken } = this.#options;
    if (localToken === undefined) return undefined;
    return this.#begin({ user: LOCAL_USER, groups: [], by: { kind: 'link', token: localToken } });
  }

  /** `person`: whose token it is. */
  logInByToken({ user, groups }: Person, sha256: string): { login: Login; cookie: string } {
    return this.#begin({ user, groups, by: { kind: 'token', sha256 } });
  }

  dropCookie(): string {
    return dropCookie(this.site, sessionCookieName(this.site));
  }

  #begin(of: Pick<Login, 'user' | 'groups' | 'by'>): { login: Login; cookie: string } {
    const beganAt = this.#now();
    const login: Login = { id: newLoginId(), ...of, beganAt, endsAt: beganAt + this.#options.sessionMs };
    return { login, cookie: this.#cookie(login) };
  }

  #cookie(login: Login): string {
    const at = this.#now();
    const name = sessionCookieName(this.site);
    const value = this.#sealer.seal('login', { login, at } satisfies Kept);
    if (name.length + value.length > MAX_COOKIE_BYTES) {
      throw new FairleadError('ERR_TOO_LARGE', 'the groups of this user do not fit into a cookie');
    }
    const maxAgeMs = Math.min(this.#options.idleMs, login.endsAt - at);
    return setCookie(this.site, { name, value, maxAgeMs, strict: login.by.kind !== 'issuer' });
  }

  #values(cookie: string): string[] {
    return cookie === '' ? [] : cookieValues(cookie, sessionCookieName(this.site)).slice(0, MAX_TRIED);
  }

  #open(values: readonly string[]): Opened | undefined {
    for (const value of values) {
      const opened = this.#sealer.open('login', value);
      if (!opened) continue;
      const kept = opened.value as Kept;
      if (this.#counts(kept)) return { ...kept, isOld: opened.isOld };
    }
    return undefined;
  }

  #counts({ login, at }: Kept): boolean {
    const now = this.#now();
    if (login.endsAt <= now || at + this.#options.idleMs <= now) return false;
    const { issuer, localToken } = this.#options;
    // The configuration may have changed since.
    if (login.by.kind === 'token') return true; // the token is looked up
    return login.by.kind === 'link' ? login.by.token === localToken : login.by.issuer === issuer?.issuer;
  }
}
