/** Messages about a session's sandboxes that are not those of the docker thread. Types only. */
import type { FileChange } from '../../../src/shared/protocol.js';
import type { Asked, SessionRef } from './sessions.js';

export interface SandboxRef {
  /** As in LeaseResult. */
  sandbox: string;
}

export interface ReleaseSessionRequest {
  session: string;
}

export interface HoldWorkspaceRequest extends SessionRef, Asked {
  /** Key in `mcpServers`; absent: the first whose sandbox is a session's own. */
  server?: string;
  /** What is done to files, for the record; the session gets a sandbox for it where it has none. Absent: they are read, in whatever there is. */
  act?: 'upload' | 'delete' | 'move' | 'read';
}

/** What its user has done to files over HTTP. */
export interface NoteFilesRequest extends SessionRef {
  changes: FileChange[];
}

export interface HeldWorkspace {
  server: string;
  /** For `release-workspace`. Absent: the session has no sandbox, so nothing is held. */
  hold?: string;
}
