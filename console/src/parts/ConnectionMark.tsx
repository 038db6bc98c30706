import type { Connection } from '../live/session-store.js';
import { useNow } from '../live/now.js';
import { leftWords } from '../model/words.js';

/** The state of the connection, in a word beside a dot. */
export function ConnectionMark({ connection, onRetry }: { connection: Connection; onRetry: () => void }) {
  const { state, at, why } = connection;
  const waits = (state === 'reconnecting' || state === 'offline') && at !== undefined;
  const now = useNow(waits);
  return (
    <span className={`connection ${state}`} title={why}>
      <span className="dot" aria-hidden="true" />
      <span role="status">{wordOf(connection)}</span>
      {waits && (
        <>
          <span className="countdown" aria-hidden="true">
            {leftWords(at, now)}
          </span>
          <button className="button quiet small" type="button" onClick={onRetry}>
            Now
          </button>
        </>
      )}
    </span>
  );
}

function wordOf({ state, why }: Connection): string {
  if (state === 'closed') return why === undefined ? 'closed' : `closed: ${why}`;
  return state === 'connecting' ? 'connecting' : state;
}
