/** How what waits is answered: on the session's socket where it is open, else over HTTP. */
import type { Fairlead } from 'fairlead/client';
import type { PendingApproval } from '../../../src/shared/protocol.js';

export interface Yes {
  remember?: 'session';
  /** The definition that was shown. */
  definition?: string;
  /** Edited arguments, in place of the model's. */
  args?: Record<string, unknown>;
}

export interface AskedCall extends PendingApproval {
  /** Absent: the tool is not there now. */
  schema?: Record<string, unknown>;
}

/** Answers the calls and questions of one session. Each rejects with what went wrong; then it waits still, or is no more. */
export interface Answers {
  readonly id: string;
  approve(callId: string, yes: Yes): Promise<unknown>;
  deny(callId: string, reason: string): Promise<unknown>;
  reply(
    requestId: string,
    action: 'accept' | 'decline' | 'cancel',
    content?: Record<string, unknown>,
  ): Promise<unknown>;
  /** With the schema of its tool. */
  readCall(callId: string): Promise<AskedCall>;
}

export function readCall(client: Fairlead, session: string, callId: string): Promise<AskedCall> {
  return client.request('GET', `/v1/sessions/${session}/approvals/${encodeURIComponent(callId)}`);
}

/** For a session that is not open. `after` runs after each answer, also where it was refused. */
export function answersOverHttp(client: Fairlead, session: string, after: () => Promise<void>): Answers {
  const post = (path: string, body: object): Promise<unknown> =>
    client.request('POST', `/v1/sessions/${session}/${path}`, body).finally(after);
  return {
    id: session,
    approve: (callId, yes) => post(`approvals/${encodeURIComponent(callId)}`, { approved: true, ...yes }),
    deny: (callId, reason) =>
      post(`approvals/${encodeURIComponent(callId)}`, { approved: false, ...(reason !== '' && { reason }) }),
    reply: (requestId, action, content) =>
      post(`elicitations/${encodeURIComponent(requestId)}`, { action, ...(content && { content }) }),
    readCall: (callId) => readCall(client, session, callId),
  };
}
