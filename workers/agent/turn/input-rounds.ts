/**
 * Tool calls of the newer protocol whose server asks for input: the call ends, and a new request carries the answers. The row
 * holds what the next request needs, so that a waiting call outlives its thread, its server and its sandbox. A request that
 * has begun is never repeated. Agent threads.
 */
import type { CallToolResult } from '@modelcontextprotocol/client';
import { cancelled } from '../../../src/shared/abort.js';
import { capabilitiesFor, originOf } from '../../../src/shared/mcp-capabilities.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { CallInput, OpenCall, SessionRow } from '../store/store.js';
import type { SendToolCall } from '../mcp/calls/run-tool.js';
import { InputWanted, type InputAnswers } from '../mcp/host/input-wanted.js';
import { answerOne, MAX_INPUTS, type Asked } from '../mcp/host/server-asks.js';
import { runningTurn, withCall } from '../log/progress.js';
import { stopOf, type StartedCall, type Turn } from './turn.js';

/** How often one call may ask for input. */
const MAX_ROUNDS = 10;
/** Input that needs more is not stored, and ends with its thread. */
const MAX_BYTES = 65_536;

/** Makes requests until the server answers. ERR_MCP when the server asks too much or too often; errors of `send`. */
export async function callWithInput(turn: Turn, call: StartedCall, send: SendToolCall): Promise<CallToolResult> {
  let input = call.input;
  for (;;) {
    const result = await send(input ? await collectAnswers(turn, call, input) : {});
    if (!(result instanceof InputWanted)) return result;
    input = await storeInput(turn, call, result, (input?.round ?? 0) + 1);
  }
}

/** The turn is interrupted while the call waits for the user: the row keeps the call, which goes on elsewhere. */
export function staysOpen({ log, signal }: Turn, callId: string): boolean {
  return signal.aborted && stopOf(signal) === 'interrupted' && openCall(log.row, callId)?.input !== undefined;
}

async function storeInput(
  { log, turn }: Turn,
  { callId }: OpenCall,
  wanted: InputWanted,
  round: number,
): Promise<CallInput> {
  if (round > MAX_ROUNDS)
    throw new FairleadError('ERR_MCP', `the server still asks for input after ${MAX_ROUNDS} rounds`);
  const { requests, state, roots } = wanted;
  const keys = Object.keys(requests);
  if (keys.length > MAX_INPUTS) throw new FairleadError('ERR_MCP', `the server asks for ${keys.length} inputs at once`);
  const known = keys.filter((key) => (requests[key] as Asked).method === 'roots/list').map((key) => [key, { roots }]);
  const input: CallInput = {
    requests,
    answers: Object.fromEntries(known),
    ...(state === undefined ? {} : { state }),
    round,
  };
  if (JSON.stringify(input).length > MAX_BYTES) return input;
  await log.commit(() => ({ events: [], row: { openTurns: withCall(log.row, turn, callId, { input }) } }));
  return input;
}

/** Asks what has no answer yet, then stores that the call runs again. ERR_CANCELLED, errors of `asks`. */
async function collectAnswers(turn: Turn, call: StartedCall, input: CallInput): Promise<InputAnswers> {
  const { log, signal, asks, questions, parts } = turn;
  const { callId, server } = call;
  const { mcpServers } = parts.config;
  // The configuration may have changed since the call was stored.
  const from = { server, capabilities: capabilitiesFor(mcpServers, server), ...originOf(mcpServers, server) };
  const isStored = openCall(log.row, callId)?.input !== undefined;
  const answers = Object.entries(input.requests).map(async ([key, asked]) => {
    if (Object.hasOwn(input.answers, key)) return [key, input.answers[key]] as const;
    const place = isStored ? { callId, key } : undefined;
    const here = { ...asks, elicit: (question, until) => questions.ask(question, until, place) } satisfies Turn['asks'];
    return [key, await answerOne(from, asked as Asked, here, signal, key)] as const;
  });
  const inputResponses = Object.fromEntries(await Promise.all(answers));
  if (signal.aborted) throw cancelled();
  if (isStored) {
    await log.commit(() => {
      if (signal.aborted) return undefined;
      return { events: [], row: { openTurns: withCall(log.row, turn.turn, callId, { input: undefined }) } };
    });
  }
  if (signal.aborted) throw cancelled();
  return {
    ...(Object.keys(inputResponses).length > 0 ? { inputResponses } : {}),
    ...(input.state === undefined ? {} : { requestState: input.state }),
  };
}

function openCall(row: Pick<SessionRow, 'openTurns'>, callId: string): OpenCall | undefined {
  return runningTurn(row)?.progress.calls.find((call) => call.callId === callId);
}
