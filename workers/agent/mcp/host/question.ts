/** A question of an MCP server to the person, and its answer. Agent threads. */
import type { PendingElicitation } from '../../../../src/shared/protocol.js';

export type Question = Omit<PendingElicitation, 'kind' | 'requestId'>;

export interface QuestionAnswer {
  action: 'accept' | 'decline' | 'cancel';
  content?: Record<string, unknown>;
}

/** Reason of an abort: the person has done what was asked, in another place than here. */
export class AnsweredElsewhere {
  readonly answer: QuestionAnswer;

  constructor(answer: QuestionAnswer) {
    this.answer = answer;
  }
}
