/** The users who are blocked: none of their credentials lets them in, and none of their turns runs. Main thread. */
import type { Logger } from '../shared/log.js';
import { MarkedUsers } from './marked-users.js';
import { BLOCK_KIND, readBlock, type BlockRecord } from './records.js';

export interface BlockedUsersOptions {
  log: Logger;
  /** The list has changed; `blocked` are those who are new in it. */
  onChanged: (blocked: ReadonlySet<string>) => void;
}

export class BlockedUsers extends MarkedUsers<BlockRecord> {
  constructor({ log, onChanged }: BlockedUsersOptions) {
    const read = (value: string, user: string): BlockRecord | undefined => {
      const record = readBlock(value);
      if (!record) log.error({ user }, 'a block in the store cannot be read: the user stays blocked');
      return record;
    };
    super(BLOCK_KIND, { read, unreadable: { since: 0, by: '' }, onChanged });
  }
}
