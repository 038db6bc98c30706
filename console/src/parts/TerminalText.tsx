/** What a command has printed, in its colours. What is long shows its end or its beginning, and the rest when it is asked for. */
import { useMemo } from 'react';
import { runsOf } from '../model/ansi.js';
import { LongText } from './LongText.js';

export function TerminalText({ text, label, tail = false }: { text: string; label: string; tail?: boolean }) {
  return <LongText mono tail={tail} text={text} label={label} render={Coloured} />;
}

function Coloured({ text }: { text: string }) {
  const runs = useMemo(() => runsOf(text), [text]);
  return runs.map(({ text: part, style }, place) =>
    style === '' ? (
      part
    ) : (
      <span key={place} className={style}>
        {part}
      </span>
    ),
  );
}
