/** Whether a call may run. All that is needed to decide stands above its buttons. */
import { lazy, Suspense, useState } from 'react';
import type { Answers, Yes } from '../live/answers.js';
import { useNow } from '../live/now.js';
import { fileEditOf } from '../model/file-edit.js';
import type { ToolItem } from '../model/items.js';
import { visible } from '../model/plain.js';
import { leftWords } from '../model/words.js';
import { fieldOf } from './field-of.js';
import { lazyPart } from './lazy-part.js';
import { wordsOf } from './words-of.js';
import '../styles/approvals.css';

const FileDiff = lazy(() => lazyPart(async () => (await import('./FileDiff.js')).FileDiff));
const EditForm = lazy(() => lazyPart(async () => (await import('./EditForm.js')).EditForm));

/** What is asked, wherever it is shown. */
export type Asked = Pick<ToolItem, 'callId' | 'name' | 'server' | 'args' | 'tool' | 'expiresAt' | 'position' | 'total'>;

export function Approval({ call, store }: { call: Asked; store: Answers }) {
  const { callId, name, server, args, tool, expiresAt, position, total } = call;
  const [remember, setRemember] = useState(false);
  const [form, setForm] = useState<'deny' | 'edit'>();
  const [sent, setSent] = useState(false);
  const [problem, setProblem] = useState('');
  const now = useNow(expiresAt !== undefined);
  const edit = fileEditOf(name, args);
  const back = (): void => setForm(undefined);

  /** What was refused waits still: the buttons come back. */
  async function answer(given: Promise<unknown>): Promise<void> {
    setSent(true);
    setProblem('');
    try {
      await given;
    } catch (error) {
      setProblem(wordsOf(error));
      setSent(false);
    }
  }

  function approve(edited?: Record<string, unknown>): void {
    const yes: Yes = {
      ...(remember && { remember: 'session' }),
      ...(tool && { definition: tool.definition }),
      ...(edited && { args: edited }),
    };
    void answer(store.approve(callId, yes));
  }

  return (
    <div className="approval">
      {edit && (
        <Suspense fallback={<p className="hint">Compares with the file …</p>}>
          <FileDiff key={callId} session={store.id} server={server} edit={edit} />
        </Suspense>
      )}
      {tool && <ToolWords tool={tool} />}
      {total !== undefined && total > 1 && (
        <p className="hint">
          {position} of {total} that are asked together
        </p>
      )}
      {form === 'deny' && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void answer(store.deny(callId, fieldOf(event.currentTarget, 'reason')));
          }}
          onKeyDown={(event) => event.key === 'Escape' && back()}
        >
          <label htmlFor={`reason-${callId}`}>Why not? The model is told.</label>
          <textarea id={`reason-${callId}`} name="reason" rows={2} maxLength={10_000} dir="auto" autoFocus />
          <div className="acts">
            <button className="button danger" type="submit" disabled={sent}>
              Deny it
            </button>
            <button className="button" type="button" onClick={back}>
              Back
            </button>
          </div>
        </form>
      )}
      {form === 'edit' && (
        <Suspense fallback={<p className="hint">Loads the form …</p>}>
          <EditForm answers={store} callId={callId} args={args} busy={sent} onApprove={approve} onBack={back} />
        </Suspense>
      )}
      {form === undefined && (
        <div className="acts">
          <button className="button primary" type="button" data-act="approve" disabled={sent} onClick={() => approve()}>
            Approve
          </button>
          <button className="button" type="button" data-act="edit" disabled={sent} onClick={() => setForm('edit')}>
            Edit …
          </button>
          <button className="button" type="button" data-act="deny" disabled={sent} onClick={() => setForm('deny')}>
            Deny …
          </button>
        </div>
      )}
      {form !== 'deny' && (
        <label className="check">
          <input type="checkbox" checked={remember} onChange={(event) => setRemember(event.target.checked)} />
          this tool for the whole session
        </label>
      )}
      <p className="problem" role="alert">
        {problem}
      </p>
      {expiresAt !== undefined && <p className="hint">It is denied by itself in {leftWords(expiresAt, now)}.</p>}
    </div>
  );
}

function ToolWords({ tool }: { tool: NonNullable<ToolItem['tool']> }) {
  const { title, description, hints = {}, changed, pin } = tool;
  const says = [
    hints.readOnly === true && 'it only reads',
    hints.destructive === true && hints.readOnly !== true && 'it may destroy',
    hints.openWorld === true && 'it reaches the outside',
    hints.idempotent === true && hints.readOnly !== true && 'it may be repeated',
  ].filter((each) => each !== false);
  return (
    <div className="tool-words">
      {changed && (
        <p className="note warning">
          The tool has changed since you were asked last: {changed.join(', ')}. Look again before you say yes.
        </p>
      )}
      {pin && (
        <p className="note warning">
          {pin.state === 'new'
            ? 'The tool is not among those that an operator has looked at.'
            : `The tool is not as an operator has looked at it: ${pin.parts.join(', ')}.`}
        </p>
      )}
      <details>
        <summary>What its server says of it{says.length > 0 && `: ${says.join(', ')}`}</summary>
        {title !== undefined && <p dir="auto">{visible(title)}</p>}
        <p className="plain" dir="auto">
          {visible(description)}
        </p>
      </details>
    </div>
  );
}
