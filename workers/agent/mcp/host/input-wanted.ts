/** A modern server's result that asks for the client's input before the request can go on. Agent threads. */
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
