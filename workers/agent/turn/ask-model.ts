/** Asks the model for a turn's next answer, also ahead of the step that starts the turn. Agent threads. */
import { setImmediate as immediate } from 'node:timers/promises';
import { abortable } from '../../../src/shared/abort.js';
import { foundIn } from '../mcp/catalogue/tool-search.js';
import { SentContext } from '../model/context.js';
import type { ModelEvent, ModelRequest } from '../model/model.js';
import { refuseModel } from '../model/refuse-model.js';
import type { TranscriptMessage } from '../store/store.js';
import type { Turn } from './turn.js';

type Asker = Pick<Turn, 'parts' | 'log' | 'signal'>;

/** A request that is under way. */
export interface Asked {
  /** What of the transcript was sent; it may become less until the answer is there. */
  sent: SentContext;
  events: AsyncIterator<ModelEvent>;
  /** The first of them, which is asked for already. */
  first: Promise<IteratorResult<ModelEvent>>;
}

/** Resolves when the request is being sent. ERR_CANCELLED. */
export async function askModel(
  { parts, log, signal }: Asker,
  transcript: readonly TranscriptMessage[],
): Promise<Asked> {
  const { model: settings } = parts.config;
  const { model, session, user, who } = log.row;
  const caller = { session, user, who };
  refuseModel(parts.config, model, who);
  const { historyTokens } = settings;
  const takes = parts.model.maxPromptTokens?.(model);
  const sent = new SentContext(transcript, log.row.context, { historyTokens, takes });
  await abortable(() => parts.catalogue.ready(caller), signal);
  const request: ModelRequest = {
    model,
    system: settings.system,
    note: parts.catalogue.note(caller),
    messages: sent.messages(),
    shorter: (size) => sent.shorter(size),
    tools: parts.toolSet(caller).toolsWith(foundIn(transcript)),
    maxTokens: settings.maxTokens,
    withheld: log.row.withheld,
  };
  // Building the request blocks this thread for a millisecond, so the last results are sent first.
  await parts.outbox.sent();
  const events = parts.model.stream(request, signal)[Symbol.asyncIterator]();
  const first = events.next();
  first.catch(() => undefined); // whoever reads the answer gets the failure
  return { sent, events, first };
}

/**
 * The request for a turn's first answer, made while the step that starts the turn is on its way to the store. No event of the
 * answer is read before that step has landed, so nothing is told or stored of a turn that does not exist.
 */
export class AskedAhead {
  readonly turn: number;
  /** Of the turn that takes it over. */
  readonly abort = new AbortController();
  readonly begunAt = performance.now();
  readonly #asked: Promise<Asked | undefined>;
  #isTaken = false;

  constructor(
    turn: number,
    { parts, log }: Pick<Asker, 'parts' | 'log'>,
    transcript: Promise<readonly TranscriptMessage[] | undefined>,
  ) {
    this.turn = turn;
    this.#asked = this.#ask({ parts, log, signal: this.abort.signal }, transcript);
    this.#asked.catch(() => undefined); // the round that takes it gets the failure
  }

  /** The request, once; undefined when it was not made, or was taken already. */
  take(): Promise<Asked | undefined> | undefined {
    if (this.#isTaken) return undefined;
    this.#isTaken = true;
    return this.#asked;
  }

  /** Ends the request, unless a round has taken it. */
  drop(): void {
    if (this.#isTaken) return;
    this.#isTaken = true;
    this.abort.abort('interrupted');
    // A stream that was begun ends what it holds only when it is closed.
    void this.#asked.then((asked) => asked?.events.return?.()).catch(() => undefined);
  }

  async #ask(asker: Asker, transcript: Promise<readonly TranscriptMessage[] | undefined>): Promise<Asked | undefined> {
    const read = await transcript;
    if (!read) return undefined;
    // The commit is written at the end of this turn of the event loop; building the request must not delay it.
    await immediate();
    if (this.abort.signal.aborted) return undefined;
    return askModel(asker, read);
  }
}
