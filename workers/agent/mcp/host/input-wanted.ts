/** The answer of a server of the newer era that wants something of its client before it goes on. Agent threads. */
import type { InputRequiredResult, Root } from '@modelcontextprotocol/client';

/** The client's responses; the request is made again with them. */
export interface InputAnswers {
  inputResponses?: Record<string, unknown>;
  requestState?: string;
}

/** In place of a tool's result: the server asks this, and the call needs another request with the answers. */
export class InputWanted {
  readonly requests: Record<string, unknown>;
  readonly state: string | undefined;
  readonly roots: readonly Root[];

  constructor({ inputRequests, requestState }: InputRequiredResult, roots: readonly Root[]) {
    this.requests = inputRequests ?? {};
    this.state = requestState;
    this.roots = roots;
  }
}
