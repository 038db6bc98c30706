/** Talks to the chaos preload in a server's process, over its Unix socket. Runs in tests and benches. */
import { connect } from 'node:net';

/** Resolves when the command was handed over; nobody confirms that it was carried out. */
export function tellPreload(path: string, command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.end(command, () => resolve()));
    socket.on('error', reject);
  });
}

/** Resolves with the answer. */
export function askPreload(path: string, question: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(path, () => socket.write(question));
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
}
