/** Results of calls as the model reads them, including those of calls that did not run. Pure; agent threads. */
import type { TranscriptMessage } from '../store/store.js';
import { DENIED_BY_RULES } from '../mcp/calls/judge.js';
import { toModelContent, type ToolOutput } from '../mcp/calls/tool-result.js';
import { stopOf } from './turn.js';

/** Why a call did not run, or has no result from its tool. */
export type Denial =
  | { by: 'user'; reason?: string }
  | { by: 'policy' }
  | { by: 'timeout' }
  /** Its server has been taken out of the configuration while it waited. */
  | { by: 'removal'; server: string }
  /** The question was closed without a yes or a no. */
  | { by: 'dismissed' }
  /** Nobody is there who could be asked. */
  | { by: 'unasked' }
  | { by: 'stop' }
  | { by: 'crash' }
  /** The turn ended while the call waited for the user to answer its server. */
  | { by: 'silence' };

export function denialText(denial: Denial): string {
  switch (denial.by) {
    case 'user':
      return denial.reason ? `The user denied this call: ${denial.reason}` : 'The user denied this call.';
    case 'policy':
      return DENIED_BY_RULES;
    case 'timeout':
      return 'Nobody approved this call in time, so it did not run.';
    case 'removal':
      return `The MCP server ${denial.server} has been removed from the configuration, so this call did not run.`;
    case 'dismissed':
      return 'Nobody approved this call: the question was closed without an answer. It did not run.';
    case 'unasked':
      return 'Nobody can be asked here whether this call may run, so it did not run.';
    case 'stop':
      return 'The turn was stopped before this call was approved; it did not run.';
    case 'silence':
      return 'The turn was stopped while the tool’s server waited for an answer of the user; it has run in part at most.';
    case 'crash':
      return 'Interrupted: the server failed while this call ran; it may have run, in whole or in part.';
  }
}

export function stoppedText(signal: AbortSignal): string {
  return stopOf(signal) === 'cancelled'
    ? 'The user cancelled the turn while this call ran; it may have run in part.'
    : 'Interrupted: the server stopped while this call ran; it may have run in part.';
}

export function textOutput(text: string): ToolOutput {
  return { content: [{ type: 'text', text }] };
}

export function denialResult(callId: string, denial: Denial): unknown {
  return resultBlock(callId, textOutput(denialText(denial)), true);
}

export function resultBlock(id: string, output: ToolOutput, isError: boolean): unknown {
  return {
    type: 'tool_result',
    tool_use_id: id,
    content: toModelContent(output),
    ...(isError ? { is_error: true } : {}),
  };
}

export function resultMessage(results: unknown[]): TranscriptMessage {
  return { role: 'user', content: results };
}
