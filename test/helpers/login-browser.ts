/** A browser without pictures: keeps cookies, opens the pages of a login and presses their button. Runs in tests. */
import { logIn } from './oauth-server.js';

export class LoginBrowser {
  readonly #cookies = new Map<string, string>();

  get cookies(): ReadonlyMap<string, string> {
    return this.#cookies;
  }

  async open(url: URL | string, init: RequestInit = {}): Promise<{ status: number; html: string; headers: Headers }> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...(init.headers as Record<string, string> | undefined), ...(cookie === '' ? {} : { cookie }) };
    const answer = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const given of answer.headers.getSetCookie()) {
      const [pair = ''] = given.split(';');
      const [name = '', value = ''] = pair.split('=');
      if (value === '') this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return { status: answer.status, html: await answer.text(), headers: answer.headers };
  }

  /** Presses the button of the page. Resolves with the address at the authorization server. */
  async begin(url: string): Promise<string> {
    const { html } = await this.open(url, { method: 'POST', headers: { origin: new URL(url).origin } });
    const next = /<a href="([^"]+)"/.exec(html)?.[1];
    if (next === undefined) throw new Error(`the page leads nowhere: ${html}`);
    return next.replaceAll(/&#(\d+);/g, (_all, code: string) => String.fromCharCode(Number(code)));
  }

  /** The whole login. Resolves with the address at which the browser comes back. */
  async logIn(url: string): Promise<URL> {
    return logIn(await this.begin(url));
  }
}
