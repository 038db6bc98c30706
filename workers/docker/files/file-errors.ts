/** What the helper in a sandbox says went wrong, in words for a client. Docker thread. */
import { FairleadError, type ErrorCode } from '../../../src/shared/errors.js';
import { shownPath, type BytePath } from '../../workspace/names.js';

const TOLD: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  OUTSIDE: ['ERR_BAD_PATH', 'leads out of the workspace by a link'],
  ROOT: ['ERR_BAD_PATH', 'is no file in it'],
  INTO_ITSELF: ['ERR_BAD_PATH', 'cannot be moved into itself'],
  ENAMETOOLONG: ['ERR_BAD_PATH', 'is longer than the file system allows'],
  ENOENT: ['ERR_NO_SUCH_FILE', 'does not exist'],
  BROKEN_LINK: ['ERR_FILE_CONFLICT', 'has a link on the way that leads nowhere'],
  ELOOP: ['ERR_FILE_CONFLICT', 'is a link that cannot be followed'],
  IS_A_FOLDER: ['ERR_FILE_CONFLICT', 'is a folder'],
  EISDIR: ['ERR_FILE_CONFLICT', 'is a folder'],
  NOT_A_FOLDER: ['ERR_FILE_CONFLICT', 'is no folder, or a part of the path is none'],
  ENOTDIR: ['ERR_FILE_CONFLICT', 'is no folder, or a part of the path is none'],
  NOT_A_FILE: ['ERR_FILE_CONFLICT', 'is a device, pipe or socket, not a file'],
  ENXIO: ['ERR_FILE_CONFLICT', 'is a device, pipe or socket, not a file'],
  ENOTEMPTY: ['ERR_FILE_CONFLICT', 'is a folder with files: delete it with recursive=true'],
  EEXIST: ['ERR_FILE_CONFLICT', 'is there already'],
  EACCES: ['ERR_FILE_CONFLICT', 'is closed to the user of the sandbox'],
  EPERM: ['ERR_FILE_CONFLICT', 'is closed to the user of the sandbox'],
  CHANGED: ['ERR_FILE_CHANGED', 'is another one than the request expects'],
  ENOSPC: ['ERR_NO_SPACE', 'does not fit: the workspace is full'],
  EDQUOT: ['ERR_NO_SPACE', 'does not fit: the workspace is full'],
};

/** `code`: as the helper, whom nobody trusts, has said it. */
export function fileError(code: string, path: string): FairleadError {
  const shown = path === '' ? 'the workspace' : shownPath(path as BytePath);
  const told = Object.hasOwn(TOLD, code) ? TOLD[code] : undefined;
  if (told) return new FairleadError(told[0], `${shown} ${told[1]}`);
  return new FairleadError('ERR_SANDBOX', `${shown}: the file system says ${code.replaceAll(/\W/g, '').slice(0, 40)}`);
}
