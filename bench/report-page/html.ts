/** A template that escapes every text that is not markup already, so that nobody can forget it. */

export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Part = string | number | boolean | Html | readonly Part[];

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** Also for quoted attributes. (Not named `html`: Prettier would change its spaces.) */
export function markup(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(String.raw({ raw: strings }, ...parts.map(escaped)));
}

function escaped(part: Part): string {
  if (part instanceof Html) return part.text;
  if (typeof part === 'object') return part.map(escaped).join('');
  return String(part).replace(/[&<>"']/g, (char) => ENTITIES[char] ?? char);
}

/** For a `<script type="application/json">`: nothing in it can end the element or open a comment. */
export function jsonData(value: unknown): Html {
  return new Html(JSON.stringify(value).replaceAll('<', String.raw`\u003c`));
}

/** Text of our own files for a script or style element, which has no escapes. Throws where the text would end it. */
export function inline(text: string): Html {
  if (/<\/(script|style)|<!--/i.test(text)) throw new Error('a file to be put inline would end its element');
  return new Html(text);
}
