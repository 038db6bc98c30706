/** What the processes of this bench tell one another. Types only. */
import type { MessageCreateParamsStreaming } from '@anthropic-ai/sdk/resources/messages';
import type { Ask, Pace, ToolUse } from './script.js';

/** `fairlead`: over its WebSocket. `sdk`: the same model calls, made by the SDK alone. */
export type Way = 'fairlead' | 'sdk';

/** Who talks where. A process has every `step`th user, from `first` on. */
export interface Gathering {
  wsUrl: string;
  modelUrl: string;
  /** A request as Fairlead sends it, without its messages: tools and system prompt. */
  template: MessageCreateParamsStreaming;
  pace: Pace;
  first: number;
  step: number;
  /** Every n-th user uses tools, up to `maxToolPeople` users. */
  toolEvery: number;
  maxToolPeople: number;
  toolUse: ToolUse;
}

export interface TurnSample {
  ask: Ask;
  /** From the message to its acceptance; NaN for the SDK's way. */
  acceptedMs: number;
  /** From the message to the first piece of text. */
  firstMs: number;
  turnMs: number;
  /** From `tool:start` to `tool:result`, where a tool ran. */
  toolMs?: number;
  error?: string;
}

export interface Talk {
  /** Of the turns that began while it was measured. */
  turns: TurnSample[];
  /** Round trips of a ping, which the front answers by itself. */
  pings: number[];
}

export type PeopleRequest =
  /** All users leave; those who come from now on belong to this gathering. */
  | { type: 'gather'; gathering: Gathering }
  /** Until as many users, over all processes, have a session. */
  | { type: 'attach'; people: number }
  | { type: 'talk'; way: Way; people: number; warmMs: number; measureMs: number };

export interface PeopleCall {
  id: number;
  request: PeopleRequest;
}

export type PeopleReply = { id: number; talk?: Talk } | { id: number; failed: string };

export type ModelNews =
  { type: 'listening'; url: string } | { type: 'first-request'; body: MessageCreateParamsStreaming };
