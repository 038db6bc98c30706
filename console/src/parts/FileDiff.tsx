/** What a call would change in a file: line by line, against the file as it is now. */
import { useEffect, useState } from 'react';
import { readFileText } from '../live/read-file.js';
import { withoutPairs, type FileEdit } from '../model/file-edit.js';
import { oneLine, visible } from '../model/plain.js';

/** A comparison of texts without anything in common takes the longest. */
const COMPARE_MS = 1_000;
const CONTEXT_LINES = 3;
const MOST_ROWS = 2_000;

interface Compared {
  /** A line each, with what stands before it in a patch. */
  rows: string[];
  /** A sentence above it. */
  note: string;
}

export interface FileDiffProps {
  session: string;
  server: string;
  edit: FileEdit;
}

/** Of one call, whose arguments stay as they are while it waits. */
export function FileDiff(props: FileDiffProps) {
  const [call] = useState(props);
  const [compared, setCompared] = useState<Compared>();
  useEffect(() => {
    let isThere = true;
    void compare(call).then((found) => isThere && setCompared(found));
    return () => {
      isThere = false;
    };
  }, [call]);
  const path = oneLine(call.edit.path, 200);
  if (!compared) return <p className="hint">Compares with the file …</p>;
  const { rows, note } = compared;
  return (
    <div className="diff-of">
      <p className="hint">{note}</p>
      {rows.length > 0 && (
        <div className="diff" tabIndex={0} role="group" aria-label={`What changes in ${path}`}>
          {rows.slice(0, MOST_ROWS).map((row, place) => (
            <Row key={place} row={row} />
          ))}
          {rows.length > MOST_ROWS && (
            <p className="hint">{(rows.length - MOST_ROWS).toLocaleString()} more lines: see the arguments.</p>
          )}
        </div>
      )}
    </div>
  );
}

function Row({ row }: { row: string }) {
  const text = visible(row);
  if (row.startsWith('+')) return <ins>{text}</ins>;
  if (row.startsWith('-')) return <del>{text}</del>;
  return <span className={row.startsWith('@') ? 'place' : ''}>{text}</span>;
}

async function compare({ session, server, edit }: FileDiffProps): Promise<Compared> {
  const file = await readFileText({ session, server, path: edit.path });
  if (file.state === 'unknown') {
    if (!edit.piece) return { rows: [], note: file.why };
    return withRows(edit.piece, `${file.why} These are the two texts of the call:`);
  }
  const before = file.state === 'text' ? withoutPairs(file.text) : undefined;
  const change = edit.change(before);
  if ('problem' in change) return { rows: [], note: change.problem };
  const { after } = change;
  if (before === after) return { rows: [], note: 'The file is like this already.' };
  const note = before === undefined ? 'It makes a new file:' : 'It changes the file as it is now:';
  return withRows({ before: before ?? '', after }, note);
}

async function withRows({ before, after }: { before: string; after: string }, note: string): Promise<Compared> {
  const { structuredPatch } = await import('diff');
  const options = { context: CONTEXT_LINES, timeout: COMPARE_MS };
  const patch = structuredPatch('', '', before, after, '', '', options);
  if (!patch) return { rows: [], note: `${note} too much changes to be shown line by line.` };
  const rows = patch.hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines }) => [
    `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
    ...lines,
  ]);
  return { rows, note };
}
