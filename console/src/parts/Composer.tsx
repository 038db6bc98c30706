/** Where a message is written, with files beside it. What is written is kept when the page goes; files are not. */
import { useEffect, useRef, useState, type ClipboardEvent, type DragEvent, type KeyboardEvent } from 'react';
import { oneLine } from '../model/plain.js';
import { sizeWords } from '../model/words.js';

/** The content of a message has 100 blocks. */
const MOST_FILES = 50;

export interface ComposerProps {
  /** Names the draft. */
  draftKey: string;
  running: boolean;
  /** Rejects where nothing was taken: then it stays written. */
  onSend: (text: string, files: readonly File[]) => Promise<void> | void;
  onCancel?: () => void;
  /** Put into the message when it changes. */
  written?: { text: string } | undefined;
  /** A slash at the beginning of an empty message, or its button. */
  onSlash?: () => void;
}

export function Composer({ draftKey, running, onSend, onCancel, written, onSlash }: ComposerProps) {
  const key = `fairlead-draft-${draftKey}`;
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? '');
  const ref = useRef<HTMLTextAreaElement>(null);
  const [files, setFiles] = useState<readonly File[]>([]);
  const [over, setOver] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const isEmpty = text.trim() === '' && files.length === 0;

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

  useEffect(() => {
    if (!written) return;
    setText(written.text);
    ref.current?.focus();
  }, [written]);

  async function send(): Promise<void> {
    if (isEmpty) return;
    setText('');
    setFiles([]);
    try {
      await onSend(text, files);
    } catch {
      // Said beside it by whoever was asked.
      setText(text);
      setFiles(files);
    }
  }

  function attach(more: Iterable<File>): void {
    setFiles((all) => [...all, ...more].slice(0, MOST_FILES));
    ref.current?.focus();
  }

  function onPaste(event: ClipboardEvent): void {
    if (event.clipboardData.files.length === 0) return;
    event.preventDefault();
    attach(event.clipboardData.files);
  }

  function onDrop(event: DragEvent): void {
    event.preventDefault();
    setOver(false);
    attach(event.dataTransfer.files);
  }

  function onKeyDown(event: KeyboardEvent<HTMLTextAreaElement>): void {
    if (event.key === 'Escape' && running) return onCancel?.();
    if (event.key === '/' && text === '' && onSlash) {
      event.preventDefault();
      return onSlash();
    }
    // The keyboard of a phone has no Shift Enter.
    const isTouch = matchMedia('(pointer: coarse)').matches;
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing || isTouch) return;
    event.preventDefault();
    void send();
  }

  return (
    <form
      className={over ? 'composer over' : 'composer'}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={onDrop}
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {files.length > 0 && (
        <ul className="attached" aria-label="Attached files">
          {files.map((file, place) => (
            <li key={place}>
              <span dir="auto">{oneLine(file.name, 40)}</span>
              <span className="hint">{sizeWords(file.size)}</span>
              <button
                className="button quiet small"
                type="button"
                aria-label={`Leave ${oneLine(file.name, 40)} out`}
                onClick={() => setFiles(files.filter((each) => each !== file))}
              >
                ✕
              </button>
            </li>
          ))}
        </ul>
      )}
      <input
        ref={picker}
        type="file"
        multiple
        hidden
        aria-label="Files to attach"
        onChange={(event) => {
          attach(event.target.files ?? []);
          event.target.value = '';
        }}
      />
      <button className="button quiet" type="button" onClick={() => picker.current?.click()}>
        Attach
      </button>
      {onSlash && (
        <button className="button quiet" type="button" onClick={onSlash}>
          Prompts
        </button>
      )}
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
        onPaste={onPaste}
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
