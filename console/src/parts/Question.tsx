/** A question of an MCP server: a form from its schema, or an address to open. */
import { useState, type FormEvent } from 'react';
import type { Answers } from '../live/answers.js';
import { fieldsOf, readForm, type Field } from '../model/form.js';
import type { QuestionItem } from '../model/items.js';
import { oneLine, safeLink, visible } from '../model/plain.js';
import { wordsOf } from './words-of.js';

const ANSWERS = { accept: 'Answered.', decline: 'Declined.', cancel: 'Closed without an answer.' };

export function Question({ question, store }: { question: QuestionItem; store: Answers }) {
  const { requestId, server, origin, mode, message, schema, url, answer } = question;
  const [problem, setProblem] = useState('');
  const to = safeLink(url);

  function submit(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault();
    const read = readForm(fieldsOf(schema), new FormData(event.currentTarget));
    if ('problem' in read) setProblem(read.problem);
    else reply('accept', read.content);
  }

  function reply(action: 'accept' | 'decline', content?: Record<string, unknown>): void {
    setProblem('');
    store.reply(requestId, action, content).catch((error: unknown) => setProblem(wordsOf(error)));
  }

  return (
    <section
      className={`card ${answer === undefined ? 'asked' : 'ok'}`}
      aria-label={`A question of ${oneLine(server, 60)}`}
    >
      <div className="card-body">
        <p className="hint">
          {oneLine(server, 60)} asks
          {origin === 'sandbox' && ' (from inside the sandbox, where the agent’s own code can write it, too)'}
        </p>
        <p className="plain" dir="auto">
          {visible(message)}
        </p>
        {answer !== undefined && <p className="note">{ANSWERS[answer]}</p>}
        {answer === undefined && mode === 'url' && (
          <p>
            It leads to{' '}
            {to === undefined ? (
              <code>{visible(url ?? '')}</code>
            ) : (
              <a href={to} target="_blank" rel="noopener noreferrer">
                {visible(to)}
              </a>
            )}
          </p>
        )}
        {answer === undefined && (
          <form onSubmit={submit}>
            {mode === 'form' &&
              fieldsOf(schema).map((field) => (
                <Input key={field.name} id={`${requestId}-${field.name}`} field={field} />
              ))}
            <p className="problem" role="alert">
              {problem}
            </p>
            <div className="acts">
              <button className="button primary" type="submit">
                {mode === 'url' ? 'I have done it' : 'Answer'}
              </button>
              <button className="button" type="button" onClick={() => reply('decline')}>
                Decline
              </button>
            </div>
          </form>
        )}
      </div>
    </section>
  );
}

function Input({ field, id }: { field: Field; id: string }) {
  const { name, label, hint, kind, options, required, initial } = field;
  const shared = { id, name, 'aria-describedby': hint === '' ? undefined : `${id}-hint` };
  return (
    <div className="field">
      {kind === 'boolean' ? (
        <label className="check">
          <input {...shared} type="checkbox" defaultChecked={initial === 'true'} />
          {label}
        </label>
      ) : (
        <>
          <label htmlFor={id}>
            {label}
            {!required && ' (may be left out)'}
          </label>
          {options ? (
            <select {...shared} defaultValue={initial} required={required}>
              {!required && <option value="" />}
              {options.map((option) => (
                <option key={option.value} value={option.value}>
                  {option.label}
                </option>
              ))}
            </select>
          ) : (
            <input
              {...shared}
              type={kind === 'text' ? 'text' : 'number'}
              step={kind === 'integer' ? 1 : 'any'}
              defaultValue={initial}
              required={required}
            />
          )}
        </>
      )}
      {hint !== '' && (
        <p className="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}
