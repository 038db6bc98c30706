/** A conversation that has not begun: it offers something to try. */
import { useState } from 'react';
import { Composer } from './Composer.js';
import { wordsOf } from './words-of.js';

const TRIES = ['List all files in /workspace', 'Write hello to notes.txt', 'Run uname -a'];

export function Fresh({
  onBegin,
  onBack,
}: {
  onBegin: (text: string, files: readonly File[]) => Promise<void>;
  onBack: () => void;
}) {
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);

  async function begin(text: string, files: readonly File[] = []): Promise<void> {
    setBusy(true);
    try {
      await onBegin(text, files);
    } catch (error) {
      setProblem(`Nothing was sent: ${wordsOf(error)}`);
      setBusy(false);
      throw error;
    }
  }

  return (
    <main className="chat fresh">
      <header className="bar">
        <button className="button quiet back" type="button" onClick={onBack}>
          ‹ Conversations
        </button>
        <h1>New conversation</h1>
      </header>
      <div className="welcome">
        <p>Say what is to be done. Before a tool runs you are asked.</p>
        <p className="hint">For instance:</p>
        <ul>
          {TRIES.map((text) => (
            <li key={text}>
              <button
                className="button"
                type="button"
                disabled={busy}
                onClick={() => void begin(text).catch(() => undefined)}
              >
                {text}
              </button>
            </li>
          ))}
        </ul>
      </div>
      <p className="problem" role="alert">
        {problem}
      </p>
      <Composer draftKey="new" running={false} onSend={begin} />
    </main>
  );
}
