/** A question of an MCP server to the user, and its answer. Agent threads. */
import type { PendingElicitation } from '../../../../src/shared/protocol.js';

export type Question = Omit<PendingElicitation, 'kind' | 'requestId'>;

export interface QuestionAnswer {
  action: 'accept' | 'decline' | 'cancel';
  content?: Record<string, unknown>;
}

/** Abort reason: the user has done what was asked elsewhere, for instance in the browser. */
export class AnsweredElsewhere {
  readonly answer: QuestionAnswer;

  constructor(answer: QuestionAnswer) {
    this.answer = answer;
  }
}

/** An address that a client may open for the user. Others (`javascript:`, `file:`, an app's own scheme) could act as the page that shows them. */
export function isOpenable(url: string): boolean {
  return URL.canParse(url) && ['https:', 'http:'].includes(new URL(url).protocol);
}
