/** What a server of the newer era answers when it wants something of its client before it goes on. Types and one error; agent threads. */
import type { InputRequiredResult, Root } from '@modelcontextprotocol/client';
import { FairleadError } from '../../../../src/shared/errors.js';

/** What a request is made again with. */
export interface InputAnswers {
  inputResponses?: Record<string, unknown>;
  requestState?: string;
}

/** The end of one request of a call that is made leg by leg. */
export class InputWanted extends FairleadError {
  readonly requests: Record<string, unknown>;
  readonly state: string | undefined;
  readonly roots: readonly Root[];

  constructor({ inputRequests, requestState }: InputRequiredResult, roots: readonly Root[]) {
    super('ERR_MCP', 'the server wants an answer first');
    this.requests = inputRequests ?? {};
    this.state = requestState;
    this.roots = roots;
  }
}
