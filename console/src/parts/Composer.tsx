/** Where a message is written. What is written is kept when the page goes. */
import { useEffect, useRef, useState, type KeyboardEvent } from 'react';

export interface ComposerProps {
  /** Names the draft. */
  draftKey: string;
  running: boolean;
  /** Rejects where nothing was taken: then it stays written. */
  onSend: (text: string) => Promise<void> | void;
  onCancel?: () => void;
}

export function Composer({ draftKey, running, onSend, onCancel }: ComposerProps) {
  const key = `fairlead-draft-${draftKey}`;
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? '');
  const ref = useRef<HTMLTextAreaElement>(null);
  const isEmpty = text.trim() === '';

  // A phone would cover half of the page with its keyboard.
  useEffect(() => {
    if (matchMedia('(pointer: fine)').matches) ref.current?.focus();
  }, []);

  useEffect(() => {
    if (text === '') sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, text);
    const area = ref.current;
    if (!area) return;
    area.style.height = 'auto';
    area.style.height = `${area.scrollHeight}px`;
  }, [text, key]);

  async function send(): Promise<void> {
    if (isEmpty) return;
    setText('');
    try {
      await onSend(text);
    } catch {
      // Said beside it by whoever was asked.
      setText(text);
    }
  }

  function onKeyDown(event: KeyboardEvent<HTMLTextAreaElement>): void {
    if (event.key === 'Escape' && running) return onCancel?.();
    // The keyboard of a phone has no Shift Enter.
    const isTouch = matchMedia('(pointer: coarse)').matches;
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing || isTouch) return;
    event.preventDefault();
    void send();
  }

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <textarea
        id="message"
        ref={ref}
        rows={1}
        dir="auto"
        aria-label="Message"
        placeholder="Message …"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      {running && (
        <button className="button" type="button" onClick={onCancel}>
          Stop
        </button>
      )}
      <button className="button primary" type="submit" disabled={isEmpty}>
        Send
      </button>
    </form>
  );
}
