/** Results and faults of the tools, in words for the model. Runs in the sandbox. */

export interface TextResult {
  text: string;
  /** What is missing and how to get it; absent when nothing is. */
  note?: string;
}

export type FaultCode =
  | 'AMBIGUOUS'
  | 'BAD_PATTERN'
  | 'BAD_PATH'
  | 'BINARY_FILE'
  | 'BROKEN_LINK'
  | 'BUSY'
  | 'CANCELLED'
  | 'IO'
  | 'IS_A_FOLDER'
  | 'NOT_A_FILE'
  | 'NOT_A_FOLDER'
  | 'NOT_FOUND'
  | 'NOT_UTF8'
  | 'NO_CHANGE'
  | 'NO_RUNNER'
  | 'NO_SPACE'
  | 'OUTSIDE_WORKSPACE'
  | 'PAST_END'
  | 'PERMISSION'
  | 'SLOW_PATTERN'
  | 'SPAWN'
  | 'TEXT_NOT_FOUND'
  | 'TOO_LARGE';

/** Becomes an `isError` result: the message is for the model, the code goes into `_meta["fairlead/error"]`. */
export class ToolFault extends Error {
  readonly code: FaultCode;

  constructor(code: FaultCode, message: string) {
    super(message);
    this.name = 'ToolFault';
    this.code = code;
  }
}

export function errnoOf(error: unknown): string | undefined {
  // Not instanceof: errors of a node:vm context have another Error class.
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Explains an error of the file system. `shown` is the path as the model knows it. */
export function faultFromErrno(error: unknown, shown: string): ToolFault {
  if (error instanceof ToolFault) return error;
  const errno = errnoOf(error);
  switch (errno) {
    case 'ENOENT':
      return new ToolFault(
        'NOT_FOUND',
        `${shown} does not exist. Use list_files or search_files to see which files exist.`,
      );
    case 'ENOTDIR':
      return new ToolFault('NOT_A_FOLDER', `${shown}: a part of this path is a file, not a folder.`);
    case 'EISDIR':
      return new ToolFault('IS_A_FOLDER', `${shown} is a folder. Use list_files to see what is in it.`);
    case 'ELOOP':
      return new ToolFault('BROKEN_LINK', `${shown} is a symbolic link that cannot be followed.`);
    case 'ENXIO':
      return new ToolFault('NOT_A_FILE', `${shown} is not a regular file.`);
    case 'ENAMETOOLONG':
      return new ToolFault('BAD_PATH', `${shown.slice(0, 80)}… is longer than the file system allows.`);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new ToolFault('PERMISSION', `${shown}: the sandbox's user has no permission for that (${errno}).`);
    case 'ENOSPC':
    case 'EDQUOT':
      return new ToolFault(
        'NO_SPACE',
        `${shown}: the workspace is full. Delete what is no longer needed and try again.`,
      );
    default:
      return new ToolFault('IO', `${shown}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
