/** What is in a file: text, a table, or a picture. Nothing in it runs. */
import { useEffect, useState } from 'react';
import type { ListedFile, Workspace } from '../live/workspace.js';
import { oneLine, visible } from '../model/plain.js';
import { previewOf, type Preview } from '../model/preview.js';
import { sizeWords } from '../model/words.js';
import { LongText } from './LongText.js';
import { wordsOf } from './words-of.js';

/** Of a picture all is needed, of a text the beginning. */
const MOST_BYTES = 8 * 1_048_576;
const TEXT_BYTES = 262_144;

interface Shown {
  preview: Preview;
  /** Of a picture. */
  url?: string;
}

export function FilePreview({
  workspace,
  file,
  onClose,
}: {
  workspace: Workspace;
  file: ListedFile;
  onClose: () => void;
}) {
  const { path, size } = file;
  const [shown, setShown] = useState<Shown>();
  const [problem, setProblem] = useState('');
  useEffect(() => {
    let isOver = false;
    let url: string | undefined;
    void (async () => {
      try {
        const blob = await workspace.read(path, MOST_BYTES);
        const bytes = new Uint8Array(await blob.arrayBuffer());
        const preview = previewOf(path, bytes.length > TEXT_BYTES ? textPart(bytes) : bytes);
        if (isOver) return;
        if (preview.kind === 'picture') url = URL.createObjectURL(new Blob([bytes], { type: preview.type }));
        setShown({ preview, ...(url !== undefined && { url }) });
      } catch (error) {
        setProblem(wordsOf(error));
      }
    })();
    return () => {
      isOver = true;
      if (url !== undefined) URL.revokeObjectURL(url);
    };
  }, [workspace, path]);
  const name = oneLine(path, 200);
  return (
    <section className="preview" aria-label={`What is in ${name}`}>
      <header className="bar">
        <h3 dir="auto">{name}</h3>
        <span className="hint">{sizeWords(size)}</span>
        <button className="button quiet small" type="button" onClick={onClose}>
          Close
        </button>
      </header>
      {problem !== '' && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      {!shown && problem === '' && <p className="hint">Loading …</p>}
      {shown && <Content {...shown} name={name} isCut={size > TEXT_BYTES} />}
    </section>
  );
}

/** The type of a picture stands at its beginning. */
function textPart(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(0, TEXT_BYTES);
}

function Content({ preview, url, name, isCut }: Shown & { name: string; isCut: boolean }) {
  switch (preview.kind) {
    case 'picture':
      return <img className="picture" src={url} alt={name} />;
    case 'table':
      return (
        <>
          <div className="table" tabIndex={0} role="group" aria-label={`Table ${name}`}>
            <table>
              <tbody>
                {preview.rows.map((row, place) => (
                  <tr key={place}>
                    {row.map((cell, column) =>
                      place === 0 ? <th key={column}>{visible(cell)}</th> : <td key={column}>{visible(cell)}</td>,
                    )}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {(preview.isCut || isCut) && <p className="hint">Its beginning. Download it to see the rest.</p>}
        </>
      );
    case 'text':
      return (
        <>
          <LongText mono text={visible(preview.text)} label={`Text of ${name}`} />
          {isCut && <p className="hint">Its beginning. Download it to see the rest.</p>}
        </>
      );
    default:
      return <p className="hint">{preview.why} Download it to look at it.</p>;
  }
}
