import { ClientError, type Fairlead } from 'fairlead/client';
import { useState, type FormEvent } from 'react';
import { fieldOf } from './field-of.js';
import { logInByToken, readStanding, type Standing } from '../live/login.js';

export interface LoginProps {
  client: Fairlead;
  ways: Standing['ways'];
  /** Why somebody is here who was not a moment ago. */
  note: string;
  onDone: () => Promise<void>;
}

export function Login({ client, ways, note, onDone }: LoginProps) {
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);

  async function submit(event: FormEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const token = fieldOf(event.currentTarget, 'token');
    setBusy(true);
    try {
      await logInByToken(client, token);
      const { person } = await readStanding(client);
      if (person) await onDone();
      else
        setProblem(
          'The token is good, but this browser has kept no cookie: open the address that the server is known by.',
        );
    } catch (error) {
      setProblem(error instanceof ClientError ? loginWords(error) : String(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <main className="login">
      <h1>Fairlead</h1>
      {note !== '' && <p className="note">{note}</p>}
      {ways.includes('issuer') && (
        <a className="button primary" href="/auth/login?return=/">
          Log in with your organisation
        </a>
      )}
      <form onSubmit={(event) => void submit(event)}>
        <label htmlFor="token">Token</label>
        <input id="token" name="token" type="password" autoComplete="current-password" required autoFocus />
        <p className="hint">
          It begins with <code>flt_</code>. The first start of the server makes one, in its data folder; an
          administrator makes more.
        </p>
        <p className="problem" role="alert">
          {problem}
        </p>
        <button className="button primary" type="submit" disabled={busy}>
          Log in
        </button>
      </form>
    </main>
  );
}

function loginWords({ code, message }: ClientError): string {
  switch (code) {
    case 'ERR_UNAUTHORIZED':
      return 'This token is not valid, or is no more.';
    case 'ERR_BLOCKED':
      return 'This user is blocked. An administrator can end that.';
    case 'ERR_TOO_MANY_REQUESTS':
      return 'Too many tries from this address. Wait a moment.';
    default:
      return `${message} (${code})`;
  }
}
