/** What a file's bytes are shown as: judged by the bytes, never by what a name or a server says. Pure. */

export type Preview =
  | { kind: 'text'; text: string }
  | { kind: 'table'; rows: string[][]; isCut: boolean }
  | { kind: 'picture'; type: PictureType }
  | { kind: 'none'; why: string };

export type PictureType = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp';

const SIGNATURES: readonly [PictureType, readonly number[]][] = [
  ['image/png', [0x89, 0x50, 0x4e, 0x47]],
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/gif', [0x47, 0x49, 0x46, 0x38]],
];
const MOST_ROWS = 200;
const MOST_COLUMNS = 50;

export function previewOf(path: string, bytes: Uint8Array): Preview {
  const picture = pictureType(bytes);
  if (picture !== undefined) return { kind: 'picture', type: picture };
  if (bytes.subarray(0, 4_096).includes(0)) return { kind: 'none', why: 'It is no text.' };
  const text = new TextDecoder('utf-8').decode(bytes);
  if (/\.(?:csv|tsv)$/i.test(path)) return tableOf(text, /\.tsv$/i.test(path) ? '\t' : ',');
  return { kind: 'text', text };
}

/** Undefined: none of those that a browser shows as pixels alone. */
export function pictureType(bytes: Uint8Array): PictureType | undefined {
  const found = SIGNATURES.find(([, signature]) => signature.every((byte, place) => bytes[place] === byte));
  if (found) return found[0];
  const word = (from: number): string => String.fromCharCode(...bytes.subarray(from, from + 4));
  return word(0) === 'RIFF' && word(8) === 'WEBP' ? 'image/webp' : undefined;
}

/** RFC 4180, and semicolons where there are no commas. */
function tableOf(text: string, given: string): Preview {
  const [first = ''] = text.split('\n', 1);
  const separator = given === ',' && !first.includes(',') && first.includes(';') ? ';' : given;
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  for (let at = 0; at < text.length && rows.length < MOST_ROWS; at++) {
    const char = text[at]!;
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text[at + 1] === '"') cell += text[at++]!;
      else quoted = false;
    } else if (char === '"' && cell === '') quoted = true;
    else if (char === separator) {
      row.push(cell);
      cell = '';
    } else if (char === '\n') {
      rows.push([...row, cell.replace(/\r$/, '')].slice(0, MOST_COLUMNS));
      row = [];
      cell = '';
    } else cell += char;
  }
  const isCut = rows.length === MOST_ROWS;
  if (!isCut && (cell !== '' || row.length > 0)) rows.push([...row, cell].slice(0, MOST_COLUMNS));
  return { kind: 'table', rows, isCut };
}
