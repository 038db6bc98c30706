/** Text as it was written. What is long shows its beginning, and the rest when it is asked for. */
import { useState, type ComponentType } from 'react';

const SHORT = 6_000;
/** A browser lays out one line of millions of characters for seconds. */
const MOST = 200_000;

export interface LongTextProps {
  text: string;
  /** In the letters of a terminal. */
  mono?: boolean;
  /** Shows the end, as a terminal does. */
  tail?: boolean;
  label?: string;
  /** Shows the part that is shown. */
  render?: ComponentType<{ text: string }>;
}

export function LongText({ text, mono = false, tail = false, label, render: Render }: LongTextProps) {
  const [all, setAll] = useState(false);
  const max = all ? MOST : SHORT;
  const cut = text.length > max;
  const shown = !cut ? text : tail ? text.slice(-max) : text.slice(0, max);
  const more = cut && (
    <button className="button quiet small" type="button" disabled={all} onClick={() => setAll(true)}>
      {all
        ? `only ${MOST.toLocaleString()} of ${text.length.toLocaleString()} characters`
        : `Show all ${text.length.toLocaleString()} characters`}
    </button>
  );
  return (
    <>
      {tail && more}
      {mono ? (
        // It scrolls, so the keyboard must reach it.
        <pre className="mono" tabIndex={0} role="group" aria-label={label ?? 'Text'}>
          {Render ? <Render text={shown} /> : shown}
        </pre>
      ) : (
        <p className="plain" dir="auto">
          {shown}
        </p>
      )}
      {!tail && more}
    </>
  );
}
