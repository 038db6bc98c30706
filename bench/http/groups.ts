/** Groups of requests: each group is one kind of request to Fairlead and to its alternatives. */
import { HEALTH_BODY, HEALTH_PATH } from './health-answer.js';
import type { Extent, LoadJob } from './messages.js';
import { WARM_UP, type Plan } from './plan.js';
import { BARE_TURN_PATH, TURN_END, TURN_TEXT } from './turn-text.js';
import type { Server, World } from './world.js';
import { inParallel } from '../shared/work.js';

export const FAIRLEAD = 'Fairlead';
export const BARE_UWS = 'bare uWebSockets.js';
export const BARE_NODE = 'node:http';
export const MODEL_ALONE = 'the demo model on bare uWebSockets.js';

export type Request = Omit<LoadJob, 'url' | 'connections' | 'extent'>;

export interface Case {
  name: string;
  server: Server;
  /** Called for each job. */
  request: (connections: number) => Promise<Request>;
}

export interface Group {
  name: string;
  /** A turn's duration depends on the model. */
  isTurn: boolean;
  cases: Case[];
  extent: (connections: number) => Extent;
  warmUp: Extent;
}

const JSON_TYPE = { 'Content-Type': 'application/json' };
const SESSIONS_AT_ONCE = 20;

export function groupsOf({ engine, uws, node }: World, plan: Plan): Group[] {
  const quick = { isTurn: false, extent: () => ({ seconds: plan.seconds }), warmUp: WARM_UP.quick };
  const turn = {
    isTurn: true,
    extent: (connections: number) => ({ each: plan.turnsEach(connections) }),
    warmUp: WARM_UP.turn,
  };
  const turnCases = (accept: string): Case[] => [
    {
      name: FAIRLEAD,
      server: engine,
      request: async (connections) => turnRequest(accept, await make(engine, connections)),
    },
    { name: MODEL_ALONE, server: uws, request: async () => turnRequest(accept, [BARE_TURN_PATH]) },
  ];
  const health: Request = { method: 'GET', paths: [HEALTH_PATH], headers: {}, expect: HEALTH_BODY };
  const create: Request = {
    method: 'POST',
    paths: ['/v1/sessions'],
    headers: JSON_TYPE,
    body: '{}',
    expect: '"session":"',
  };
  return [
    {
      ...quick,
      name: 'healthz',
      cases: [
        { name: FAIRLEAD, server: engine, request: async () => health },
        { name: BARE_UWS, server: uws, request: async () => health },
        { name: BARE_NODE, server: node, request: async () => health },
      ],
    },
    { ...turn, name: 'turn as JSON', cases: turnCases('application/json') },
    { ...turn, name: 'turn as SSE', cases: turnCases('text/event-stream') },
    // Last: it leaves thousands of sessions, which would slow the other groups.
    { ...quick, name: 'session create', cases: [{ name: FAIRLEAD, server: engine, request: async () => create }] },
  ];
}

function turnRequest(accept: string, paths: string[]): Request {
  const headers = { ...JSON_TYPE, Accept: accept };
  return { method: 'POST', paths, headers, body: JSON.stringify({ text: TURN_TEXT }), expect: TURN_END };
}

/** A session for each connection, since the turns of one session wait for each other. Resolves with the paths of their messages. */
async function make({ url }: Server, count: number): Promise<string[]> {
  const paths: string[] = [];
  await inParallel(count, SESSIONS_AT_ONCE, async () => {
    const answer = await fetch(`${url}/v1/sessions`, { method: 'POST' });
    if (answer.status !== 201) throw new Error(`a session was refused: ${answer.status} ${await answer.text()}`);
    const { session } = (await answer.json()) as { session: string };
    paths.push(`/v1/sessions/${session}/messages`);
  });
  return paths;
}
