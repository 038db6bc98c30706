/** What the main thread may ask of an agent thread about the table of credentials. Agent threads. */
import type { RequestHandlers } from '../../../src/shared/threads/channel.js';
import type { AgentContract } from '../contract/messages.js';
import type { CredentialRequests } from '../contract/credentials.js';
import type { CredentialTable } from '../store/credential-table.js';

export function credentialRequests(
  table: CredentialTable,
): Pick<RequestHandlers<AgentContract>, keyof CredentialRequests> {
  return {
    'credential-changes': ({ after, limit }) => table.changes(after, limit),
    'write-credential': async ({ key, ...write }) => ({ outcome: await table.write(key, write) }),
    'remove-credential': async ({ key }) => ({ removed: await table.remove(key) }),
    'note-credential-uses': async ({ uses }) => {
      await table.noteUses(uses);
      return null;
    },
  };
}
