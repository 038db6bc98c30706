/** What a call of the workspace's tools for files would change. Pure. */

export interface FileEdit {
  path: string;
  /** The file after it, as far as a page can tell. `before` undefined: there is no such file. */
  change: (before: string | undefined) => { after: string } | { problem: string };
  /** Of an edit: the texts alone, for where the file cannot be read. */
  piece?: { before: string; after: string };
}

/** Undefined: it is no such call. */
export function fileEditOf(name: string, args: Record<string, unknown>): FileEdit | undefined {
  const { path, content, old_text: old, new_text: given, replace_all: all } = args;
  if (typeof path !== 'string' || path === '') return undefined;
  if (name === 'write_file' && typeof content === 'string') {
    return { path, change: () => ({ after: withoutPairs(content) }) };
  }
  if (name !== 'edit_file' || typeof old !== 'string' || typeof given !== 'string' || old === '') return undefined;
  const [before, after] = [withoutPairs(old), withoutPairs(given)];
  return {
    path,
    piece: { before, after },
    change: (text) => {
      if (text === undefined) return { problem: 'There is no such file: the call would fail.' };
      const parts = withoutPairs(text).split(before);
      if (parts.length === 1) return { problem: 'The text to replace is not in the file: the call would fail.' };
      if (parts.length > 2 && all !== true) {
        return { problem: `The text to replace is there ${parts.length - 1} times: the call would fail.` };
      }
      return { after: parts.join(after) };
    },
  };
}

/** The tools keep a file's own line ends; a comparison of each line would say that all have changed. */
export function withoutPairs(text: string): string {
  return text.replaceAll('\r\n', '\n');
}
