import type { SessionStore } from '../live/session-store.js';
import type { UserItem } from '../model/items.js';
import { oneLine, visible } from '../model/plain.js';
import { LongText } from './LongText.js';

/** Pale while the server has not said that it is stored, or while another turn is ahead. */
export function UserMessage({ item, store }: { item: UserItem; store: SessionStore }) {
  const { id, text, truncated, images, files, state, error, turn } = item;
  const note = state === 'sending' ? 'Being sent …' : undefined;
  return (
    <div className={`said ${state}`} data-turn={turn}>
      <p className="speaker">You</p>
      {text === undefined ? (
        <p className="hint">A message that the log does not hold.</p>
      ) : (
        <LongText text={visible(text)} />
      )}
      {truncated && <p className="hint">… and more; this page has its beginning.</p>}
      {images !== undefined && <p className="hint">{images === 1 ? 'with a picture' : `with ${images} pictures`}</p>}
      {files && (
        <p className="hint" dir="auto">
          with {files.map((name) => oneLine(name, 80)).join(', ')}
        </p>
      )}
      {state === 'stored' && text !== undefined && text !== '' && !truncated && (
        <button className="button quiet small" type="button" onClick={() => store.write(text)}>
          Edit and send again
        </button>
      )}
      {note && <p className="hint">{note}</p>}
      {state === 'failed' && (
        <p className="problem" role="alert">
          Not sent: {error?.message ?? 'the server has refused it'} <code>{error?.code}</code>
          <button className="button quiet small" type="button" onClick={() => id !== undefined && store.sayAgain(id)}>
            Send again
          </button>
          <button className="button quiet small" type="button" onClick={() => id !== undefined && store.forget(id)}>
            Drop it
          </button>
        </p>
      )}
    </div>
  );
}
