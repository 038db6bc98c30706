/** Edits the arguments of a call: in a form from the tool's schema, or as JSON where that says more. */
import { useEffect, useState, type FormEvent } from 'react';
import type { Answers } from '../live/answers.js';
import { editFields, readEdit, readJsonEdit, type EditField } from '../model/edit.js';
import { wordsOf } from './words-of.js';

export interface EditFormProps {
  answers: Answers;
  callId: string;
  args: Record<string, unknown>;
  busy: boolean;
  onApprove: (args: Record<string, unknown>) => void;
  onBack: () => void;
}

export function EditForm({ answers, callId, args, busy, onApprove, onBack }: EditFormProps) {
  const [fields, setFields] = useState<EditField[]>();
  const [asJson, setAsJson] = useState(false);
  const [problem, setProblem] = useState('');
  /** As it was when the form was opened: an event of the session must not change what is being written. */
  const [first] = useState(args);
  useEffect(() => {
    let isThere = true;
    answers.readCall(callId).then(
      ({ schema }) => isThere && setFields(editFields(schema, first)),
      (error: unknown) => {
        if (!isThere) return;
        setProblem(wordsOf(error));
        setFields([]);
      },
    );
    return () => {
      isThere = false;
    };
  }, [answers, callId, first]);

  function submit(event: FormEvent<HTMLFormElement>): void {
    event.preventDefault();
    const entered = new FormData(event.currentTarget);
    const read = isJson ? readJsonEdit(textOf(entered, 'json')) : readEdit(fields ?? [], entered);
    if ('problem' in read) setProblem(read.problem);
    else {
      setProblem('');
      onApprove(read.args);
    }
  }

  if (!fields) return <p className="hint">Reads what the tool takes …</p>;
  const isJson = asJson || fields.length === 0;
  const id = `edit-${callId}`;
  return (
    <form className="edit" onSubmit={submit} onKeyDown={(event) => event.key === 'Escape' && onBack()}>
      {isJson ? (
        <div className="field">
          <label htmlFor={`${id}-json`}>All arguments as JSON</label>
          <textarea
            id={`${id}-json`}
            name="json"
            className="mono-field"
            spellCheck={false}
            rows={rowsOf(JSON.stringify(first, undefined, 2))}
            defaultValue={JSON.stringify(first, undefined, 2)}
            autoFocus
          />
        </div>
      ) : (
        fields.map((field, place) => (
          <Field key={field.name} id={`${id}-${place}`} field={field} isFirst={place === 0} />
        ))
      )}
      {fields.length > 0 && (
        <label className="check">
          <input type="checkbox" checked={asJson} onChange={(event) => setAsJson(event.target.checked)} />
          as JSON; what was entered here is left
        </label>
      )}
      <p className="problem" role="alert">
        {problem}
      </p>
      <div className="acts">
        <button className="button primary" type="submit" disabled={busy}>
          Approve as edited
        </button>
        <button className="button" type="button" onClick={onBack}>
          Back
        </button>
      </div>
    </form>
  );
}

function Field({ id, field, isFirst }: { id: string; field: EditField; isFirst: boolean }) {
  const { name, label, hint, kind, options, required, initial } = field;
  const shared = {
    id,
    name,
    defaultValue: initial,
    autoFocus: isFirst,
    'aria-describedby': hint === '' ? undefined : `${id}-hint`,
  };
  return (
    <div className="field">
      <label htmlFor={id}>
        {label}
        {kind === 'json' && ' (JSON)'}
        {!required && ' (may be left out)'}
      </label>
      {kind === 'choice' || kind === 'boolean' ? (
        <select {...shared} required={required}>
          {(!required || initial === '') && <option value="">–</option>}
          {(kind === 'boolean' ? ['true', 'false'] : options).map((option) => (
            <option key={option} value={option}>
              {kind === 'boolean' ? (option === 'true' ? 'yes' : 'no') : option}
            </option>
          ))}
        </select>
      ) : kind === 'number' || kind === 'integer' ? (
        <input {...shared} type="number" step={kind === 'integer' ? 1 : 'any'} required={required} />
      ) : (
        <textarea {...shared} className="mono-field" spellCheck={false} dir="auto" rows={rowsOf(initial)} />
      )}
      {hint !== '' && (
        <p className="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

const rowsOf = (text: string): number => Math.min(16, text.split('\n').length);

function textOf(entered: FormData, name: string): string {
  const value = entered.get(name);
  return typeof value === 'string' ? value : '';
}
