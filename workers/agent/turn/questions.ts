/** Questions that MCP servers ask the user in the middle of a call: stored, announced, answered once, closed with the call. Agent threads. */
import { randomUUID } from 'node:crypto';
import { onAbort, pending } from '../../../src/shared/abort.js';
import { FairleadError } from '../../../src/shared/errors.js';
import type { DurableEvent } from '../../../src/shared/protocol.js';
import type { OpenQuestion, OpenTurn } from '../store/store.js';
import { AnsweredElsewhere, type Question, type QuestionAnswer } from '../mcp/host/question.js';
import type { ForeignSchemas } from '../schema/foreign-schemas.js';
import { acceptedContent } from './forms.js';
import { BUILT_IN } from '../mcp/catalogue/built-in.js';
import type { AnswerElicitationRequest } from '../contract/sessions.js';
import { runningTurn, waitsForApproval, withCall, withProgress, type WithTurns } from '../log/progress.js';
import type { SessionLog, Step } from '../log/session-log.js';

/** More questions, or a longer one, are cancelled at once: no user could answer them. */
const MAX_OPEN = 10;
const MAX_BYTES = 65_536;

export type QuestionReply = Omit<AnswerElicitationRequest, 'user' | 'session'>;

export class ServerQuestions {
  readonly #log: SessionLog;
  readonly #schemas: Pick<ForeignSchemas, 'check'>;
  /** Question → resolves its `ask`. The question itself is in the row. */
  readonly #waiting = new Map<string, (answer: QuestionAnswer) => void>();

  constructor(log: SessionLog, schemas: Pick<ForeignSchemas, 'check'>) {
    this.#log = log;
    this.#schemas = schemas;
  }

  /**
   * Resolves with the user's answer, or with `cancel` when nobody can be asked any more. `of` names the stored call that needs
   * the answer; such a question, and its answer, outlive the thread.
   */
  async ask(question: Question, signal: AbortSignal, of?: OpenQuestion['of']): Promise<QuestionAnswer> {
    const requestId = randomUUID();
    const { row } = this.#log;
    if (signal.aborted || JSON.stringify(question).length > MAX_BYTES) return { action: 'cancel' };
    let asked = false;
    await this.#log.commit(() => {
      const running = runningTurn(row);
      const open = running?.progress.questions ?? [];
      if (!running || signal.aborted || open.length >= MAX_OPEN) return undefined;
      asked = true;
      const questions = [...open, { requestId, ...question, ...(of ? { of } : {}) }];
      return {
        events: [{ type: 'elicitation:request', requestId, ...question }],
        row: { openTurns: withProgress(row, running.turn, { questions }) },
      };
    });
    if (!asked) return { action: 'cancel' };
    const answer = pending<QuestionAnswer>();
    this.#waiting.set(requestId, answer.resolve);
    const stopListening = onAbort(signal, () => void this.#withdraw(requestId, signal.reason));
    try {
      return await answer.promise;
    } finally {
      stopListening();
      this.#waiting.delete(requestId);
    }
  }

  /** ERR_CALL_NOT_PENDING; ERR_TOOL_ARGS when the content does not fit the form. Both leave the question open. */
  async answer(reply: QuestionReply): Promise<void> {
    const { requestId, action } = reply;
    const { row } = this.#log;
    const answer = await this.#checked(reply);
    await this.#log.commit(() => {
      const question = openQuestions(row).find((each) => each.requestId === requestId);
      if (!question) {
        throw new FairleadError('ERR_CALL_NOT_PENDING', `question ${requestId} is not waiting for an answer`);
      }
      return withAnswer(closeStep(row, [{ requestId, action, by: 'user' }]), question, answer);
    });
    this.#settle(requestId, answer);
  }

  /** Before the step that closes the question, since a check against a server's form may take a while. */
  async #checked({ requestId, action, content }: QuestionReply): Promise<QuestionAnswer> {
    const { row } = this.#log;
    const question = openQuestions(row).find((each) => each.requestId === requestId);
    if (action !== 'accept' || !question?.schema) return { action };
    const { schema, server } = question;
    const owner = { user: row.user, server };
    return { action, content: await acceptedContent(this.#schemas, { schema, content, owner }) };
  }

  /** Cancels each `ask` whose question the row no longer holds: its turn or its call has ended. */
  dropUnasked(): void {
    const open = new Set(openQuestions(this.#log.row).map(({ requestId }) => requestId));
    for (const requestId of this.#waiting.keys())
      if (!open.has(requestId)) this.#settle(requestId, { action: 'cancel' });
  }

  async #withdraw(requestId: string, reason: unknown): Promise<void> {
    const { row } = this.#log;
    const elsewhere = reason instanceof AnsweredElsewhere ? reason.answer : undefined;
    const { action } = elsewhere ?? ({ action: 'cancel' } as const);
    this.#settle(requestId, elsewhere ?? { action: 'cancel' });
    const question = openQuestions(row).find((each) => each.requestId === requestId);
    if (question?.of && reason === 'interrupted') return; // the store keeps it open
    const step = (): Step | undefined => {
      const open = openQuestions(row).some((each) => each.requestId === requestId);
      return open ? closeStep(row, [{ requestId, action, by: elsewhere ? 'user' : 'stop' }]) : undefined;
    };
    await this.#log.commit(step).catch(() => undefined); // the log has reported it; the session's next opening closes the question
  }

  #settle(requestId: string, answer: QuestionAnswer): void {
    this.#waiting.get(requestId)?.(answer);
  }
}

export function openQuestions(row: WithTurns): OpenQuestion[] {
  return runningTurn(row)?.progress.questions ?? [];
}

/**
 * Closes the questions of servers whose calls have ended, or all. `lost`: the thread that waited for the answers has died, so
 * only questions of calls that wait for input stay.
 */
export function closeQuestions(
  row: WithTurns,
  all: boolean,
  lost = false,
): { events: DurableEvent[]; openTurns: OpenTurn[] } {
  const running = runningTurn(row);
  if (!running) return { events: [], openTurns: row.openTurns };
  const started = running.progress.calls.filter((call) => !waitsForApproval(call));
  const asking = new Set(started.map(({ server }) => server));
  const questions = openQuestions(row);
  // A call of one of our tools (a login, a resource) may involve any server.
  const isAsked = ({ server, of }: OpenQuestion): boolean => {
    if (of) return started.some(({ callId }) => callId === of.callId);
    return !lost && (asking.has(server) || asking.has(BUILT_IN));
  };
  const kept = all ? [] : questions.filter(isAsked);
  const closed = questions.filter((question) => !kept.includes(question));
  if (closed.length === 0) return { events: [], openTurns: row.openTurns };
  return {
    events: closed.map(({ requestId }) => ({ type: 'elicitation:resolved', requestId, action: 'cancel', by: 'stop' })),
    openTurns: withProgress(row, running.turn, { questions: kept }),
  };
}

/** Adds the answer to the call that waits for it. */
function withAnswer(step: Step, { of }: OpenQuestion, answer: QuestionAnswer): Step {
  const openTurns = step.row?.openTurns;
  const running = openTurns && runningTurn({ openTurns });
  const call = running?.progress.calls.find(({ callId }) => callId === of?.callId);
  if (!of || !running || !call?.input) return step;
  const input = { ...call.input, answers: { ...call.input.answers, [of.key]: answer } };
  return { ...step, row: { ...step.row, openTurns: withCall({ openTurns }, running.turn, call.callId, { input }) } };
}

function closeStep(
  row: WithTurns,
  closed: Omit<Extract<DurableEvent, { type: 'elicitation:resolved' }>, 'type'>[],
): Step {
  const running = runningTurn(row);
  const ids = closed.map(({ requestId }) => requestId);
  const questions = openQuestions(row).filter(({ requestId }) => !ids.includes(requestId));
  return {
    events: closed.map((each) => ({ type: 'elicitation:resolved', ...each })),
    row: {
      lastActiveAt: Date.now(),
      ...(running ? { openTurns: withProgress(row, running.turn, { questions }) } : {}),
    },
  };
}
