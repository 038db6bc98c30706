/** A workspace as a tar: text files of equal size in folders, mostly of common words. */
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';

const FILES_IN_FOLDER = 50;
const WORDS = 4_000;

/** Deterministic. */
export async function workspaceTar(files: number, bytes: number): Promise<Buffer> {
  const next = numbers();
  const words = Array.from({ length: WORDS }, () =>
    `${next().toString(36)}${next().toString(36)}`.slice(0, 4 + (next() % 10)),
  );
  // A few words make up most of any text.
  const common = (): number => Math.floor(WORDS * (next() / 2 ** 32) ** 4);
  const tar = pack();
  const whole = buffer(tar);
  const size = Math.floor(bytes / files);
  for (let index = 0; index < files; index++) {
    if (index % FILES_IN_FOLDER === 0) tar.entry({ name: folderOf(index), type: 'directory', mode: 0o755 });
    let content = '';
    while (content.length < size) content += `${words[common()]}${next() % 9 === 0 ? '\n' : ' '}`;
    tar.entry({ name: `${folderOf(index)}file-${index}.txt`, mode: 0o644 }, content.slice(0, size));
  }
  tar.finalize();
  return whole;
}

function folderOf(index: number): string {
  return `folder-${Math.floor(index / FILES_IN_FOLDER)}/`;
}

/** Xorshift: deterministic, so that archive sizes can be compared. */
function numbers(): () => number {
  let state = 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
