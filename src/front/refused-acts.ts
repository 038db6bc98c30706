/** Records what people tried beyond their role, at a bounded rate: whoever tries it a thousand times must not fill the disk. Main thread. */
import { audit } from '../shared/audit.js';
import type { FairleadError } from '../shared/errors.js';
import type { Person } from '../shared/person.js';
import { BoundedEntries } from './bounded-entries.js';

export interface Tried {
  method: string;
  /** The path of the route, without the client's text. */
  route: string;
  path: string;
  address: string;
}

export class RefusedActs {
  readonly #entries = new BoundedEntries();

  note({ user, credential }: Person, { method, route, path, address }: Tried, why: FairleadError): void {
    const more = this.#entries.take(user);
    if (!more) return;
    const session = /\/sessions\/([\w-]{1,128})(?:\/|$)/.exec(path)?.[1];
    const what = route.endsWith('/sessions/:session/history') ? 'support_look' : 'admin';
    const about = { act: `${method} ${route}`, code: why.code, why: why.message, ...more };
    audit({ what, outcome: 'refused', user, credential, address, session, about });
  }
}
