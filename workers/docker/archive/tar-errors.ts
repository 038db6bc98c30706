/** Reads what GNU and busybox tar say on stderr about paths that they could not save. Docker thread. */

import { SOCKET } from './skipped-list.js';

/** A path that vanished or grew while it was read is no loss: it is as its owner wanted it a moment ago. */
const HARMLESS =
  /: (?:No such file or directory|file changed as we read it|File removed before we read it|File shrank by .*)$|^(?:Exiting with failure status|error exit delayed)/;
const FORMS = [
  /^can't open '([^]+)': (Permission denied|File name too long)$/,
  /^([^]+): Cannot (?:open|stat|read|savedir|readlink)[^:]*: (Permission denied|File name too long)$/,
  /^([^]+): (Permission denied|File name too long|socket ignored)$/,
  /^([^]+): (Unknown file type|unknown file type)(?:; file ignored)?$/,
];
const REASONS: Record<string, string> = {
  'Permission denied': 'its owner or mode does not let it be read',
  'File name too long': 'its path is too long',
  'socket ignored': SOCKET,
};

export interface NotSaved {
  path: Buffer;
  reason: string;
}

/** `unknown`: a line that says something else, the first one. */
export function readTarErrors(stderr: Buffer): { notSaved: NotSaved[]; unknown: string | undefined } {
  const notSaved: NotSaved[] = [];
  let unknown: string | undefined;
  // A name may have line breaks.
  for (const line of `\n${stderr.toString('latin1')}`.split(/\n(?:tar: )/).slice(1)) {
    const text = line.trimEnd();
    if (HARMLESS.test(text)) continue;
    const match = FORMS.map((form) => form.exec(text)).find((found) => found !== null);
    const [, path, why = ''] = match ?? [];
    if (path === undefined) unknown ??= text;
    else notSaved.push({ path: Buffer.from(path, 'latin1'), reason: REASONS[why] ?? why.toLowerCase() });
  }
  return { notSaved, unknown };
}
