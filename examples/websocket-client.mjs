// A raw WebSocket client: sends one message, asks about each tool call, prints the answer, survives a lost connection.
//   node examples/websocket-client.mjs "List all files in /workspace"
// FAIRLEAD_URL and FAIRLEAD_TOKEN say where, and as whom. Frames and events: docs/protocol.md.
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline/promises';
import { WebSocket } from 'ws'; // browsers and Node 22 have one built in

const url = process.env.FAIRLEAD_URL ?? 'ws://127.0.0.1:3000/v1/ws';
const token = process.env.FAIRLEAD_TOKEN;
// A message with an id runs once, however often it is sent: so it can be sent again after every reconnect.
const message = { type: 'message', id: randomUUID(), text: process.argv[2] ?? 'List all files in /workspace' };
const terminal = createInterface({ input: process.stdin, output: process.stdout });
const answers = new Map(); // callId → the user's answer, so that nobody is asked twice
let session = '';
let after = 0; // the newest durable event that we have handled
let delayMs = 100; // before the next try
let socket;

async function decide({ callId, name, args }) {
  if (!answers.has(callId)) answers.set(callId, terminal.question(`${name} ${JSON.stringify(args)}: allow? [y/n] `));
  const approved = (await answers.get(callId)).startsWith('y');
  // While the connection is away the answer waits here: `pending` of the next session:ready brings the call again.
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'tool:approval', callId, approved }));
}

const handlers = {
  'session:ready'({ session: id, pending }) {
    session = id; // with it we come back
    delayMs = 100;
    for (const open of pending) if (open.kind === 'approval') void decide(open);
    socket.send(JSON.stringify(message));
  },
  'tool:approval_required': (event) => void decide(event),
  'tool:result': ({ ok }) => console.log(ok ? '[the tool is done]' : '[the tool failed]'),
  text: ({ text }) => console.log(text),
  'turn:end': () => socket.close(1000),
};

function connect() {
  const resume = session && `?session=${session}&after=${after}`;
  socket = new WebSocket(url + resume, 'fairlead.v1', { headers: token ? { authorization: `Bearer ${token}` } : {} });
  socket.on('message', (data) => {
    const event = JSON.parse(data);
    handlers[event.type]?.(event); // a client ignores events that it does not know
    if (event.type !== 'session:ready' && event.seq) after = event.seq;
  });
  socket.on('error', ({ message }) => console.error(message)); // `close` follows
  socket.on('close', (code) => {
    if (code === 1000) return terminal.close();
    if (code >= 4400 && code < 4408) throw new Error(`closed with ${code}: there is no use in coming back`);
    setTimeout(connect, delayMs);
    delayMs = Math.min(2 * delayMs, 15_000);
  });
}
connect();
