/** Repairs a transcript that a crash has cut anywhere: every tool_use gets exactly one tool_result. Pure; agent threads. */
import type { TranscriptMessage } from '../store/store.js';

const INTERRUPTED = 'interrupted: the server stopped; the tool may have run';
const LOST_START = '(the conversation before this is not available)';

export interface RepairedTranscript {
  /** The whole valid transcript. Messages that needed no repair are the same objects. */
  messages: TranscriptMessage[];
  repaired: boolean;
  /** The repair after the last message, which the store can append. */
  appended: TranscriptMessage[];
}

/** Consecutive messages of one role, which the API reads as one. */
interface Run {
  role: TranscriptMessage['role'];
  messages: TranscriptMessage[];
}

/**
 * - a tool_use without its result in the following user messages gets one with `is_error`;
 * - a tool_result that answers no tool_use just before it, or one answered already, is dropped;
 * - a tool_use with the id of an earlier one, of its own answer, is dropped; of an earlier answer, it gets another id, and its result too;
 * - an empty message is dropped, and a transcript that opens with the assistant gets a user message before it.
 *
 * Only a repair at the end can be stored. Repairs in the middle are repeated, with the same outcome, at each read.
 */
export function repairTranscript(transcript: readonly TranscriptMessage[]): RepairedTranscript {
  const messages: TranscriptMessage[] = [];
  const appended: TranscriptMessage[] = [];
  const seen = new Set<string>();
  let repaired = false;
  /** Calls of the latest assistant run that have no result yet: the stored id → the id here. */
  let open = new Map<string, string>();
  const runs = splitRuns(transcript);
  for (const [index, run] of runs.entries()) {
    const isLast = index === runs.length - 1;
    if (run.role === 'assistant') open = new Map();
    const keep = run.role === 'assistant' ? firstUse(seen, open) : awaitedResult(open);
    const kept: TranscriptMessage[] = [];
    for (const message of run.messages) {
      const content = message.content.flatMap((block) => keep(block) ?? []);
      const whole =
        content.length === message.content.length && content.every((block, at) => block === message.content[at]);
      if (content.length > 0) kept.push(whole ? message : { role: message.role, content });
      repaired ||= !whole || content.length === 0;
    }
    if (run.role === 'user' && open.size > 0 && !isLast) {
      messages.push(interrupted(open.values())); // before the run: in the middle nothing can be appended
      repaired = true;
      open = new Map();
    }
    if (run.role === 'assistant' && kept.length > 0 && messages.length === 0) {
      messages.push({ role: 'user', content: [{ type: 'text', text: LOST_START }] });
      repaired = true;
    }
    messages.push(...kept);
    if (isLast && open.size > 0) appended.push(interrupted(open.values()));
  }
  messages.push(...appended);
  return { messages, repaired: repaired || appended.length > 0, appended };
}

function splitRuns(transcript: readonly TranscriptMessage[]): Run[] {
  const runs: Run[] = [];
  for (const message of transcript) {
    const last = runs.at(-1);
    if (last?.role === message.role) last.messages.push(message);
    else runs.push({ role: message.role, messages: [message] });
  }
  return runs;
}

type Keep = (block: unknown) => unknown;

/**
 * Opens each call. Gateways that count the calls of each answer from 0 had their ids stored by version 0.2.0: what they call again is
 * another call.
 */
function firstUse(seen: Set<string>, open: Map<string, string>): Keep {
  return (block) => {
    const id = idOf(block, 'tool_use', 'id');
    if (id === undefined) return block;
    if (open.has(id)) return undefined;
    const own = seen.has(id) ? unseen(id, seen) : id;
    seen.add(own);
    open.set(id, own);
    return own === id ? block : { ...(block as object), id: own };
  };
}

function unseen(id: string, seen: ReadonlySet<string>): string {
  for (let count = 2; ; count++) if (!seen.has(`${id}-${count}`)) return `${id}-${count}`;
}

/** Drops a tool_result that answers no open call; any other closes its call. */
function awaitedResult(open: Map<string, string>): Keep {
  return (block) => {
    const id = idOf(block, 'tool_result', 'tool_use_id');
    if (id === undefined) return block;
    const own = open.get(id);
    if (own !== undefined) {
      open.delete(id);
      return own === id ? block : { ...(block as object), tool_use_id: own };
    }
    // A result that a repair has appended has the id of here.
    const [stored] = [...open].find(([, each]) => each === id) ?? [];
    return stored !== undefined && open.delete(stored) ? block : undefined;
  };
}

function interrupted(ids: Iterable<string>): TranscriptMessage {
  return {
    role: 'user',
    content: [...ids].map((id) => ({
      type: 'tool_result',
      tool_use_id: id,
      content: [{ type: 'text', text: INTERRUPTED }],
      is_error: true,
    })),
  };
}

function idOf(block: unknown, type: string, key: string): string | undefined {
  if (typeof block !== 'object' || block === null) return undefined;
  const fields = block as Record<string, unknown>;
  return fields['type'] === type ? String(fields[key]) : undefined;
}
