/** The blocks of a message with files: small pictures go into it, other files are uploaded and named. */
import type { UserBlock } from '../../../src/shared/protocol.js';
import { pictureType } from '../model/preview.js';
import type { Workspace } from './workspace.js';

/** All pictures of a message together: a frame takes 1 MiB, and base64 makes a third more of them. */
const PICTURE_BYTES = 600_000;

/** Uploads what is no small picture. Rejects where a file cannot be uploaded: then nothing is said. */
export async function blocksOf(text: string, files: readonly File[], workspace: Workspace): Promise<UserBlock[]> {
  const pictures: UserBlock[] = [];
  const named: UserBlock[] = [];
  let left = PICTURE_BYTES;
  for (const file of files) {
    const type = file.size <= left ? pictureType(new Uint8Array(await file.slice(0, 16).arrayBuffer())) : undefined;
    if (type === undefined) named.push({ type: 'file', path: await workspace.add(file) });
    else {
      left -= file.size;
      pictures.push({ type: 'image', mimeType: type, data: await base64Of(file) });
    }
  }
  return [...(text.trim() === '' ? [] : [{ type: 'text' as const, text }]), ...pictures, ...named];
}

function base64Of(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve((reader.result as string).replace(/^[^,]*,/, ''));
    reader.onerror = () => reject(reader.error ?? new Error('the file cannot be read'));
    reader.readAsDataURL(file);
  });
}
