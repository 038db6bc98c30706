/** The names of users in the embedded store. Agent threads. */
import type { LmdbDoor } from './lmdb-credentials.js';
import { hasSessions } from './lmdb-quotas.js';
import type { LmdbTables } from './lmdb-tables.js';
import { COMPLETE, type UserNames } from './user-names.js';

/** LMDB bounds keys. No user has such a name by the rules of today; who has one from before is in no list. */
const MAX_NAME = 300;

export class LmdbUsers implements UserNames {
  readonly #door: LmdbDoor;

  constructor(door: LmdbDoor) {
    this.#door = door;
  }

  list(after: string, limit: number): Promise<string[]> {
    const start = after === '' ? COMPLETE : after;
    return this.#door.read('listUsers', ({ users }) =>
      Array.from(users.getKeys({ start, limit: limit + 1 }))
        .filter((name) => name !== start)
        .slice(0, limit),
    );
  }

  async note(users: readonly string[]): Promise<void> {
    await this.#door.write('noteUsers', (tables) => noteNames(tables, users));
  }

  async forget(user: string): Promise<void> {
    await this.#door.write('forgetName', (tables) => {
      if (isName(user) && !hasSessions(tables, user, 1)) void tables.users.remove(user);
    });
  }

  isComplete(): Promise<boolean> {
    return this.#door.read('usersComplete', ({ users }) => users.doesExist(COMPLETE));
  }

  setComplete(): Promise<void> {
    return this.note([COMPLETE]);
  }
}

/** In the transaction of who calls. */
export function noteNames({ users }: Pick<LmdbTables, 'users'>, names: readonly string[]): void {
  for (const name of names) {
    if (isName(name) && !users.doesExist(name)) void users.put(name, 0);
  }
}

function isName(name: string): boolean {
  return name.length > 0 && name.length <= MAX_NAME && !name.includes('\0') && name.isWellFormed();
}
