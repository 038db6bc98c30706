/** Who is here decides what is shown: the log-in, or the work. */
import { ClientError, Fairlead } from 'fairlead/client';
import { useCallback, useEffect, useState } from 'react';
import { logInByCode, readStanding, takeCode, type Standing } from '../live/login.js';
import { Login } from './Login.js';
import { Work } from './Work.js';

const client = new Fairlead();
const RETRY_MS = 2_000;
/** Read once: it is taken out of the address. */
const code = takeCode();

export function App() {
  const [standing, setStanding] = useState<Standing>();
  const [note, setNote] = useState('');
  const load = useCallback(async (said = '') => {
    try {
      setStanding(await readStanding(client));
      setNote(said);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      setNote(`The server does not answer (${error.message}). It is asked again.`);
      setTimeout(() => void load(said), RETRY_MS);
    }
  }, []);
  useEffect(() => {
    void (async () => {
      let said = '';
      if (code !== undefined) {
        try {
          await once(code);
        } catch (error) {
          said = error instanceof ClientError ? `${error.message}.` : String(error);
        }
      }
      await load(said);
    })();
  }, [load]);
  const refused = useCallback(() => void load('Your login has ended. What you have written is kept.'), [load]);

  if (!standing) return <main className="boot">{note === '' ? 'Fairlead' : note}</main>;
  const { person, ways } = standing;
  if (!person) return <Login client={client} ways={ways} note={note} onDone={load} />;
  return <Work client={client} person={person} canLogOut={ways.length > 0} onRefused={refused} />;
}

let using: Promise<unknown> | undefined;

/** A code is good for once, and React's strict mode runs effects twice. */
function once(of: string): Promise<unknown> {
  return (using ??= logInByCode(client, of));
}
