/** What a turn goes through, each with its load, its wait and its faults. Pure. */
import type { ServerStatus } from '../../../src/shared/server-status.js';
import type { Rates } from '../live/system.js';
import { durationWords } from './words.js';

export interface Stage {
  name: string;
  /** The number that counts most. */
  load: string;
  facts: string[];
  /** What somebody must look at. Empty: nothing. */
  faults: string[];
}

/** A loop that is blocked for so long is felt by everybody on it. */
const SLOW_LOOP_S = 0.2;

function slow(seconds: number): string[] {
  return seconds > SLOW_LOOP_S ? [`its event loop is blocked for ${durationWords(seconds * 1_000)}`] : [];
}

export function stagesOf(status: ServerStatus, rates: Rates | undefined): Stage[] {
  const { people, sessions, turns, modelCalls, sandboxes, sandboxLine, threads, outages, mcpServers } = status;
  const count = (state: string): number =>
    sandboxes.filter((each) => each.state === state).reduce((sum, each) => sum + each.count, 0);
  const out = (...parts: string[]): string[] =>
    outages.filter(({ part }) => parts.includes(part)).map(({ part, why }) => `${part}: ${why}`);
  const loops = (isOurs: (thread: string) => boolean): number =>
    Math.max(0, ...(status.loops ?? []).filter(({ thread }) => isOurs(thread)).map(({ seconds }) => seconds));
  const [front, agents] = [loops((thread) => thread === 'main'), loops((thread) => thread.startsWith('agent'))];
  return [
    {
      name: 'People',
      load: `${people.users}`,
      facts: [`${people.connections} connections`, rates ? `${rates.turnsPerSecond.toFixed(1)} turns a second` : ''],
      faults: [],
    },
    {
      name: 'Front',
      load: durationWords(front * 1_000),
      facts: ['delay of its event loop', rates ? `${rates.refusedRequests} requests refused` : ''],
      faults: slow(front),
    },
    {
      name: 'Agent threads',
      load: `${turns.running}`,
      facts: ['turns run', `${threads.alive} of ${threads.size} threads`, `${sessions.inMemory} sessions in memory`],
      faults: [
        ...(threads.alive < threads.size ? [`${threads.size - threads.alive} threads are being started again`] : []),
        ...slow(agents),
        ...(rates && rates.failedTurns > 0 ? [`${rates.failedTurns} turns failed in the last minute`] : []),
      ],
    },
    {
      name: 'Model',
      load: `${modelCalls.running}`,
      facts: [
        'requests run',
        `${modelCalls.waiting} wait`,
        rates?.firstTokenMs === undefined ? '' : `first token in ${durationWords(rates.firstTokenMs)}`,
      ],
      faults: [
        ...out('model'),
        ...(rates && rates.modelRefusals > 0 ? [`it was over its rate limit ${rates.modelRefusals} times`] : []),
      ],
    },
    {
      name: 'Sandboxes',
      load: `${count('leased')}`,
      facts: [
        'in use',
        `${count('warm')} warm, ${count('starting')} starting`,
        rates?.toolMs === undefined ? '' : `a call takes ${durationWords(rates.toolMs)}`,
      ],
      faults: [...out('docker', 'sandbox'), ...(sandboxLine > 0 ? [`${sandboxLine} turns wait for one`] : [])],
    },
    {
      name: 'Store',
      load: rates?.storeMs === undefined ? '–' : durationWords(rates.storeMs),
      facts: ['a request', status.parts.store],
      faults: out('store', 'redis'),
    },
    {
      name: 'MCP servers',
      load: mcpServers.length === 0 ? 'well' : `${mcpServers.length}`,
      facts: mcpServers.length === 0 ? [] : ['cannot be used as they should'],
      faults: mcpServers.map(({ name, state }) => `${name}: ${state}`),
    },
  ].map((stage) => ({ ...stage, facts: stage.facts.filter((fact) => fact !== '') }));
}
