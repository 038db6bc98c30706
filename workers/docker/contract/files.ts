/** Messages about the files of a session's workspace: the docker thread's requests for them, and the port that carries their bytes. Types only. */
import type { MessagePort } from 'node:worker_threads';
import type { ErrorData } from '../../../src/shared/errors.js';

/** Whose workspace it is. */
export interface WorkspaceOf {
  session: string;
  /** Key in `mcpServers`. */
  server: string;
}

export interface FileStat {
  /** `other`: a device, pipe or socket. */
  type: 'file' | 'folder' | 'link' | 'other';
  size: number;
  /** ms since the epoch. */
  mtimeMs: number;
  /**
   * Another one means another content: size, seconds, nanoseconds and inode, with dots between. What came out of a save has
   * no nanoseconds, and what is in one no inode either.
   */
  version: string;
}

/** One line of a list. */
export interface ListedFile extends FileStat {
  /** From the root, on one line: a name that is no text, or has unseen characters, stands in quotes with escapes. */
  path: string;
}

/** Paths are as `ListedFile` shows them, `''` for the root. Errors: ERR_BAD_PATH, ERR_NO_SUCH_FILE, ERR_FILE_CONFLICT. */
export interface ListFilesRequest extends WorkspaceOf {
  path: string;
  /** With all that is below. */
  recursive: boolean;
  /** `next` of the page before. */
  after?: string;
  limit: number;
}

export interface ListFilesResult {
  /** By name; what is in a folder comes right after it. */
  files: ListedFile[];
  /** Absent: there are no more. */
  next?: string;
  /** They are those of the save: the workspace has no sandbox now. Absent: of the sandbox, or there are none. */
  savedAt?: number;
}

export interface OpenFileRequest extends WorkspaceOf {
  path: string;
  /** The docker thread's end; see ToReadFile and FromReadFile. */
  port: MessagePort;
}

export type ArchiveFormat = 'tar.gz' | 'zip';

/** The port gets the archive from the answer on, without a range. */
export interface PackFilesRequest extends OpenFileRequest {
  format: ArchiveFormat;
}

/** Not packed: only a sandbox can do it, since a link is on the way, or a file has several names. */
export interface PackFilesResult {
  packed: boolean;
}

/** `stat` undefined: only a sandbox can say, since a link is on the way. */
export type OpenFileResult = { stat: FileStat } | { stat?: undefined };

/** As `OpenFileRequest`, without its bytes. */
export interface StatFileRequest extends WorkspaceOf {
  path: string;
}

export type StatFileResult = OpenFileResult;

export interface WriteFileRequest extends WorkspaceOf {
  path: string;
  /** Absent: not known before the end. */
  size?: number;
  /** The docker thread's end; see ToWriteFile and FromWriteFile. */
  port: MessagePort;
}

export interface WriteFileResult {
  /** What is there now; absent: nothing. */
  stat?: FileStat;
}

export interface DeleteFileRequest extends WorkspaceOf {
  path: string;
  /** A folder with all that is in it. */
  recursive: boolean;
  /** As in `ToWriteFile`. */
  expect?: string;
}

export interface MoveFileRequest extends WorkspaceOf {
  from: string;
  to: string;
  /** A file that is there is replaced. */
  overwrite: boolean;
}

/** The bytes of what was asked for come from the answer on; a window of them may be unacknowledged. */
export type ToReadFile =
  { type: 'range'; from: number; length: number } | { type: 'ack'; bytes: number } | { type: 'close' };

export type FromReadFile =
  | { type: 'data'; data: Uint8Array }
  | { type: 'end' }
  /** The last message: what came before is no whole. */
  | { type: 'error'; error: ErrorData };

export type ToWriteFile =
  | { type: 'data'; data: Uint8Array }
  /** All bytes are here: the file gets its name. `expect`: the version that must be there, `absent`, or nothing in particular. */
  | { type: 'commit'; expect?: string }
  | { type: 'close' };

export type FromWriteFile =
  | { type: 'ack'; bytes: number }
  /** It has its name. */
  | { type: 'done'; stat: FileStat }
  | { type: 'error'; error: ErrorData };

/** So many bytes may be on their way, in either direction. */
export const FILE_WINDOW_BYTES = 1_048_576;

export interface FileTasks {
  /** Without `files`: only a sandbox can say, since a link is on the way. */
  'list-files': { request: ListFilesRequest; result: ListFilesResult | { files?: undefined } };
  'open-file': { request: OpenFileRequest; result: OpenFileResult };
  'pack-files': { request: PackFilesRequest; result: PackFilesResult };
  'write-file': { request: WriteFileRequest; result: WriteFileResult };
  'delete-file': { request: DeleteFileRequest; result: null };
  'move-file': { request: MoveFileRequest; result: null };
}
