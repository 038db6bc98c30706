/** Collects this process's garbage as under memory pressure, so that only what it holds is measured. Runs in the compared servers. */
import { Session } from 'node:inspector';

export async function collectHere(): Promise<null> {
  const session = new Session();
  session.connect();
  try {
    await new Promise<void>((resolve, reject) => {
      session.post('HeapProfiler.collectGarbage', (error) => (error ? reject(error) : resolve()));
    });
  } finally {
    session.disconnect();
  }
  return null;
}
