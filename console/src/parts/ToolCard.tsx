/** A call of a tool: what it is asked with, what it prints, what came of it; and the question whether it may run. */
import { useEffect, useState } from 'react';
import type { ContentBlock } from '../../../src/shared/protocol.js';
import type { SessionStore } from '../live/session-store.js';
import type { ToolItem } from '../model/items.js';
import { argumentText, oneLine } from '../model/plain.js';
import { durationWords } from '../model/words.js';
import { Approval } from './Approval.js';
import { Arguments } from './Arguments.js';
import { LongText } from './LongText.js';
import { TerminalText } from './TerminalText.js';

const STATES: Record<ToolItem['state'], string> = {
  asked: 'waits for you',
  approved: 'begins',
  running: 'runs',
  ok: 'done',
  failed: 'failed',
  denied: 'denied',
};

export function ToolCard({ call, store }: { call: ToolItem; store: SessionStore }) {
  const { name, server, args, state, ms, by, reason, edited, content, output } = call;
  const isOpen = state !== 'ok' && state !== 'denied';
  const [open, setOpen] = useState(isOpen);
  // Close to one line when it has succeeded, as long as nobody has opened it.
  const [touched, setTouched] = useState(false);
  useEffect(() => {
    if (!touched) setOpen(isOpen);
  }, [isOpen, touched]);
  const printed = Object.entries(output);
  return (
    <section className={`card ${state}`} aria-label={`${oneLine(name, 60)}: ${STATES[state]}`}>
      <button
        className="card-head"
        type="button"
        aria-expanded={open}
        onClick={() => {
          setTouched(true);
          setOpen(!open);
        }}
      >
        <span className="card-name">{oneLine(name, 60)}</span>
        <span className="card-brief">{brief(args)}</span>
        <span className="card-state">
          {STATES[state]}
          {ms !== undefined && ` · ${durationWords(ms)}`}
        </span>
      </button>
      {open && (
        <div className="card-body">
          {server !== '' && <p className="hint">a tool of {oneLine(server, 60)}</p>}
          <Arguments args={args} />
          {edited && <p className="hint">The arguments were edited by the user.</p>}
          {state === 'asked' && <Approval call={call} store={store} />}
          {state === 'denied' && <p className="note">{deniedWords(by, reason)}</p>}
          {content === undefined &&
            printed.map(([stream, { text, length }]) => (
              <div key={stream}>
                <p className="hint">
                  {stream}
                  {length > text.length && `, the end of ${length.toLocaleString()} characters`}
                </p>
                <TerminalText tail text={text} label={stream} />
              </div>
            ))}
          {content?.map((block, place) => (
            <Result key={place} block={block} />
          ))}
          {content !== undefined && (
            <div className="acts">
              <button className="button quiet small" type="button" onClick={() => store.write(againWords(name, args))}>
                Ask for it again
              </button>
            </div>
          )}
        </div>
      )}
    </section>
  );
}

function Result({ block }: { block: ContentBlock }) {
  switch (block.type) {
    case 'text':
      return <TerminalText text={block.text} label="Result" />;
    case 'image':
      // SVG is a document: only what is pixels is shown.
      return /^image\/(?:png|jpeg|gif|webp)$/.test(block.mimeType) ? (
        <img
          className="picture"
          alt="A picture that the tool gave"
          src={`data:${block.mimeType};base64,${block.data}`}
        />
      ) : (
        <p className="hint">a picture of the kind {oneLine(block.mimeType, 60)}</p>
      );
    case 'audio':
      return <p className="hint">a sound of the kind {oneLine(block.mimeType, 60)}</p>;
    default:
      return <LongText mono text={argumentText(block)} label="Result" />;
  }
}

/** Said as a message, so that the model knows of it, and the person is asked again. */
function againWords(name: string, args: Record<string, unknown>): string {
  return `Call ${name} again, with these arguments:\n\n${JSON.stringify(args, undefined, 2)}`;
}

/** What one looks for: the command, the path, or the first short text. */
function brief(args: Record<string, unknown>): string {
  const first = args['command'] ?? args['path'] ?? Object.values(args).find((value) => typeof value === 'string');
  return typeof first === 'string' ? oneLine(first, 80) : '';
}

function deniedWords(by: ToolItem['by'], reason: string | undefined): string {
  const why = reason === undefined || reason === '' ? '' : `: ${oneLine(reason, 10_000)}`;
  if (by === 'policy') return `A rule has denied it${why}.`;
  return by === 'timeout' ? 'Nobody has answered in time: it was denied.' : `Denied${why}.`;
}
