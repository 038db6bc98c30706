/** Asks the model for a turn's next answer, also ahead of the step that starts the turn. Agent threads. */
import { setImmediate as immediate } from 'node:timers/promises';
import { abortable } from '../../../src/shared/abort.js';
import type { ModelCallWait } from '../contract/model-calls.js';
import { foundIn } from '../mcp/catalogue/tool-search.js';
import { SentContext } from '../model/context.js';
import type { ModelEvent, ModelPlace, ModelRequest } from '../model/model.js';
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
  /** Ended by whoever reads the answer. */
  place: ModelPlace;
  /** Of the transcript. */
  messages: number;
}

/** Waits for the tools to be known, and for a place: the history is read after that. ERR_CANCELLED, and the errors of a place. */
export async function askInTurn(turn: Turn): Promise<Asked> {
  const { parts, log, live, signal } = turn;
  const { model, user } = log.row;
  await ready(turn);
  const place = await parts.places.take({ user, model, signal, onWait: turn.onWait });
  try {
    live.endWait();
    return await askModel(turn, await log.transcript(), place);
  } catch (error) {
    place.end();
    throw error;
  }
}

/** The user may ask this model, and the tools are known. ERR_CANCELLED, ERR_MODEL_NOT_ALLOWED. */
async function ready({ parts, log, signal }: Asker): Promise<void> {
  const { model, session, user, who } = log.row;
  refuseModel(parts.config, model, who);
  await abortable(() => parts.catalogue.ready({ session, user, who }), signal);
}

/** Resolves when the request is being sent. */
async function askModel(
  { parts, log, signal }: Asker,
  transcript: readonly TranscriptMessage[],
  place: ModelPlace,
): Promise<Asked> {
  const { model: settings } = parts.config;
  const { model, session, user, who } = log.row;
  const caller = { session, user, who };
  const { historyTokens } = settings;
  const takes = parts.model.maxPromptTokens?.(model);
  const sent = new SentContext(transcript, log.row.context, { historyTokens, takes });
  const request: ModelRequest = {
    place,
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
  return { sent, events, first, place, messages: transcript.length };
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
  #wait: ModelCallWait | undefined;
  #onWait: ((wait: ModelCallWait) => void) | undefined;

  constructor(
    turn: number,
    { parts, log }: Pick<Asker, 'parts' | 'log'>,
    transcript: Promise<readonly TranscriptMessage[] | undefined>,
  ) {
    this.turn = turn;
    this.#asked = this.#ask({ parts, log, signal: this.abort.signal }, transcript);
    this.#asked.catch(() => undefined); // the round that takes it gets the failure
  }

  /** The request, once; undefined when it was not made, or was taken already. From then on a wait is told. */
  take(onWait: (wait: ModelCallWait) => void): Promise<Asked | undefined> | undefined {
    if (this.#isTaken) return undefined;
    this.#isTaken = true;
    this.#onWait = onWait;
    if (this.#wait) onWait(this.#wait);
    return this.#asked;
  }

  /** Ends the request, unless a round has taken it. */
  drop(): void {
    if (this.#isTaken) return;
    this.#isTaken = true;
    this.abort.abort('interrupted');
    // A stream that was begun ends what it holds only when it is closed.
    void this.#end().catch(() => undefined);
  }

  async #end(): Promise<void> {
    const asked = await this.#asked;
    asked?.place.end();
    await asked?.events.return?.();
  }

  async #ask(asker: Asker, transcript: Promise<readonly TranscriptMessage[] | undefined>): Promise<Asked | undefined> {
    const read = await transcript;
    if (!read) return undefined;
    // The commit is written at the end of this turn of the event loop; building the request must not delay it.
    await immediate();
    const { parts, log, signal } = asker;
    const { model, user } = log.row;
    await ready(asker);
    // Where it would wait, the turn waits: its clients are told.
    const onWait = (wait: ModelCallWait): void => {
      this.#wait = wait;
      this.#onWait?.(wait);
    };
    const place = parts.places.tryTake({ user, model, signal, onWait });
    if (!place) return undefined;
    try {
      return await askModel(asker, read, place);
    } catch (error) {
      place.end();
      throw error;
    }
  }
}
