/** Entry of a process of simulated users, which takes commands over IPC. */
import type { PeopleCall, PeopleReply, PeopleRequest } from './messages.js';
import { People } from './people.js';

let people: People | undefined;

async function handle(request: PeopleRequest): Promise<Omit<Extract<PeopleReply, { talk?: unknown }>, 'id'>> {
  switch (request.type) {
    case 'gather':
      people?.leave();
      people = new People(request.gathering);
      return {};
    case 'attach':
      await people?.attach(request.people);
      return {};
    case 'talk':
      if (!people) throw new Error('nobody is gathered');
      return { talk: await people.talk(request) };
  }
}

function reply(message: PeopleReply): void {
  if (process.connected) process.send?.(message);
}

process.on('message', ({ id, request }: PeopleCall) => {
  handle(request).then(
    (result) => reply({ id, ...result }),
    (error: Error) => reply({ id, failed: error.stack ?? error.message }),
  );
});
// Ignored, since a Ctrl-C reaches the whole group: the bench ends its processes in order.
process.on('SIGINT', () => undefined);
process.once('SIGTERM', () => process.exit());
process.once('disconnect', () => process.exit());
