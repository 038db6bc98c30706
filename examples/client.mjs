// The client library: sends one message, asks about each tool call, prints the answer as it is written, survives a lost connection.
//   node examples/client.mjs "List all files in /workspace"
// FAIRLEAD_URL and FAIRLEAD_TOKEN say where, and as whom. docs/client.md.
import { createInterface } from 'node:readline/promises';
import { Fairlead } from 'fairlead/client';

const fairlead = new Fairlead({
  url: process.env.FAIRLEAD_URL ?? 'http://127.0.0.1:3000',
  token: process.env.FAIRLEAD_TOKEN,
});
const terminal = createInterface({ input: process.stdin, output: process.stdout });
const session = fairlead.open(); // what is said is kept and sent again until the server has it, so nothing needs to be awaited
void session.send(process.argv[2] ?? 'List all files in /workspace');

async function decide({ callId, name, args, tool }) {
  const answer = await terminal.question(`${name} ${JSON.stringify(args)}: allow? [y/n] `);
  // The definition binds the yes to the tool as it was shown.
  if (answer.startsWith('y')) void session.approve(callId, { definition: tool?.definition });
  else void session.deny(callId);
}

for await (const event of session) {
  if (event.type === 'text:delta') process.stdout.write(event.text);
  else if (event.type === 'text') console.log();
  else if (event.type === 'tool:approval_required') void decide(event);
  else if (event.type === 'tool:result') console.log(event.ok ? '[the tool is done]' : '[the tool failed]');
  else if (event.type === 'connection:reconnecting') console.error(`[${event.why}; trying again]`);
  else if (event.type === 'turn:end') break;
}
terminal.close();
await session.close();
