/** Whether a call may run. All that is needed to decide stands above its buttons. */
import { useState } from 'react';
import type { SessionStore } from '../live/session-store.js';
import { useNow } from '../live/now.js';
import type { ToolItem } from '../model/items.js';
import { visible } from '../model/plain.js';
import { leftWords } from '../model/words.js';
import { fieldOf } from './field-of.js';

export function Approval({ call, store }: { call: ToolItem; store: SessionStore }) {
  const { callId, tool, expiresAt, position, total } = call;
  const [remember, setRemember] = useState(false);
  const [denies, setDenies] = useState(false);
  const [sent, setSent] = useState(false);
  const now = useNow(expiresAt !== undefined);

  function approve(): void {
    setSent(true);
    store.approve(callId, {
      ...(remember && { remember: 'session' }),
      ...(tool && { definition: tool.definition }),
    });
  }

  function deny(reason: string): void {
    setSent(true);
    store.deny(callId, reason);
  }

  return (
    <div className="approval">
      {tool && <ToolWords tool={tool} />}
      {total !== undefined && total > 1 && (
        <p className="hint">
          {position} of {total} that are asked together
        </p>
      )}
      {denies ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            deny(fieldOf(event.currentTarget, 'reason'));
          }}
          onKeyDown={(event) => event.key === 'Escape' && setDenies(false)}
        >
          <label htmlFor={`reason-${callId}`}>Why not? The model is told.</label>
          <textarea id={`reason-${callId}`} name="reason" rows={2} maxLength={10_000} dir="auto" autoFocus />
          <div className="acts">
            <button className="button danger" type="submit" disabled={sent}>
              Deny it
            </button>
            <button className="button" type="button" onClick={() => setDenies(false)}>
              Back
            </button>
          </div>
        </form>
      ) : (
        <div className="acts">
          <button className="button primary" type="button" disabled={sent} onClick={approve}>
            Approve
          </button>
          <button className="button" type="button" disabled={sent} onClick={() => setDenies(true)}>
            Deny …
          </button>
          <label className="check">
            <input type="checkbox" checked={remember} onChange={(event) => setRemember(event.target.checked)} />
            this tool for the whole session
          </label>
        </div>
      )}
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
