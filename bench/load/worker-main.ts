/** A worker thread of the load: passes the main thread's commands to their groups. */
import { parentPort, workerData } from 'node:worker_threads';
import { Group } from './group.js';
import type { Answered, Asked, Command, Results, WorkerInput } from './messages.js';

const { thread, threads, counts } = workerData as WorkerInput;
const rows = new Float64Array(counts);
const groups = new Map<number, Group>();
const port = parentPort;
if (!port) throw new Error('this file is a worker thread');

port.on('message', ({ id, command }: Asked) => {
  void run(command).then(
    (result) => port.postMessage({ id, result } satisfies Answered),
    (error: unknown) => port.postMessage({ id, error: error instanceof Error ? error.message : String(error) }),
  );
});

async function run(command: Command): Promise<Results[Command['type']]> {
  if (command.type === 'connect') {
    const made = new Group(command, rows, threads);
    groups.set(command.group, made);
    return await made.open(thread);
  }
  const group = groups.get(command.group);
  if (!group) throw new Error(`there is no group ${command.group}`);
  switch (command.type) {
    case 'pump':
      group.pump(command.payload, command.depth);
      return null;
    case 'rest':
      await group.rest();
      return null;
    case 'send':
      group.send(command.payload, command.first);
      return null;
    case 'read':
      group.reads(command.on);
      return null;
    case 'until':
      await group.until(command.mark, command.each);
      return null;
    case 'gaps':
      return group.takeGaps();
    case 'drop':
      await group.drop();
      groups.delete(command.group);
      return null;
  }
}
