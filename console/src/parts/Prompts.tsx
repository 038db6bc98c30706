/** Prompts of MCP servers, behind a slash: one is chosen, filled in, and stands in the message then. */
import { useEffect, useState } from 'react';
import type { SessionStore } from '../live/session-store.js';
import type { Prompt } from '../live/prompts.js';
import { oneLine } from '../model/plain.js';
import { Dialog } from './Dialog.js';
import { wordsOf } from './words-of.js';

export function Prompts({ store, onClose }: { store: SessionStore; onClose: () => void }) {
  const [prompts, setPrompts] = useState<readonly Prompt[]>();
  const [chosen, setChosen] = useState<Prompt>();
  const [values, setValues] = useState<Readonly<Record<string, string>>>({});
  const [problem, setProblem] = useState('');
  useEffect(() => {
    let isOver = false;
    void (async () => {
      try {
        const found = await store.listPrompts();
        if (!isOver) setPrompts(found);
      } catch (error) {
        if (!isOver) setProblem(wordsOf(error));
      }
    })();
    return () => {
      isOver = true;
    };
  }, [store]);

  async function use(prompt: Prompt): Promise<void> {
    try {
      const given = Object.entries(values).filter(([, value]) => value !== '');
      store.write(await store.readPrompt(prompt, Object.fromEntries(given)));
      onClose();
    } catch (error) {
      setProblem(wordsOf(error));
    }
  }

  function choose(prompt: Prompt): void {
    if (prompt.arguments.length === 0) void use(prompt);
    else setChosen(prompt);
  }

  return (
    <Dialog title={chosen ? nameOf(chosen) : 'Prompts'} onClose={onClose}>
      <p className="problem" role="alert">
        {problem}
      </p>
      {chosen ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void use(chosen);
          }}
        >
          {chosen.description !== undefined && <p className="hint">{oneLine(chosen.description, 500)}</p>}
          {chosen.arguments.map(({ name, description, required = false }) => (
            <label key={name} className="field">
              {oneLine(name, 80)}
              {!required && ' (may be empty)'}
              <input
                required={required}
                value={values[name] ?? ''}
                onChange={(event) => setValues({ ...values, [name]: event.target.value })}
              />
              {description !== undefined && <span className="hint">{oneLine(description, 300)}</span>}
            </label>
          ))}
          <div className="acts">
            <button className="button primary" type="submit">
              Use it
            </button>
            <button className="button" type="button" onClick={() => setChosen(undefined)}>
              Back
            </button>
          </div>
        </form>
      ) : (
        <>
          {!prompts && problem === '' && <p className="hint">Loading …</p>}
          {prompts?.length === 0 && <p className="hint">No server offers a prompt.</p>}
          <ul className="prompts">
            {prompts?.map((prompt) => (
              <li key={`${prompt.server} ${prompt.name}`}>
                <button className="button wide" type="button" onClick={() => choose(prompt)}>
                  {nameOf(prompt)}
                </button>
                {prompt.description !== undefined && <p className="hint">{oneLine(prompt.description, 200)}</p>}
              </li>
            ))}
          </ul>
          <div className="acts">
            <button className="button" type="button" onClick={onClose}>
              Close
            </button>
          </div>
        </>
      )}
    </Dialog>
  );
}

function nameOf({ server, name, title }: Prompt): string {
  return `${oneLine(title ?? name, 60)} · ${oneLine(server, 40)}`;
}
