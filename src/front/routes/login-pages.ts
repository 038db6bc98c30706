/** The pages of a login to an MCP server, as HTML without scripts. Main thread; pure. */
import type { Exchange, Header } from '../http.js';

/** HTML. Only `markup` makes it, which escapes what is put in. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Escapes each value, unless it is Html itself. */
export function markup(parts: TemplateStringsArray, ...values: (string | Html)[]): Html {
  const texts = values.map((value) => (value instanceof Html ? value.text : escapeHtml(value)));
  return new Html(parts.reduce((sum, part, index) => sum + (texts[index - 1] ?? '') + part));
}

export interface PageOptions {
  title: string;
  body: Html;
  /** The page has a form that is sent to its own address. */
  hasForm?: boolean;
  /** Goes there by itself; the body has a link too. */
  next?: string;
  headers?: readonly Header[];
}

/** Its policy lets nothing run in it, no other page frame it, and keeps its address, which holds a secret, from being passed on. */
export function sendPage(exchange: Exchange, status: number, options: PageOptions): void {
  const { title, body, hasForm = false, next, headers = [] } = options;
  const refresh = next === undefined ? markup`` : markup`<meta http-equiv="refresh" content="0; url=${next}" />`;
  const { text } = markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title}</title>
        ${refresh}
      </head>
      <body>
        <h1>${title}</h1>
        ${body}
      </body>
    </html> `;
  const policy = `default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action ${hasForm ? "'self'" : "'none'"}`;
  exchange.answer(status, 'text/html; charset=utf-8', text, [
    ['Content-Security-Policy', policy],
    // With no-referrer browsers send a form of ours with "Origin: null", which is refused. Other sites get no referrer either way.
    ['Referrer-Policy', hasForm ? 'same-origin' : 'no-referrer'],
    ['X-Frame-Options', 'DENY'],
    ['Cross-Origin-Opener-Policy', 'same-origin'],
    ...headers,
  ]);
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
