/** Asks the model for a turn's next answer, also ahead of the step that starts the turn. Agent threads. */
import { setImmediate as immediate } from 'node:timers/promises';
import { abortable } from '../../../src/shared/abort.js';
import type { ModelCallWait } from '../contract/model-calls.js';
import { imageNote } from './choose-image.js';
import type { Caller } from '../mcp/host/server-connection.js';
import { foundIn } from '../mcp/catalogue/tool-search.js';
import { SentContext } from '../model/context.js';
import type { ModelEvent, ModelPlace, ModelRequest } from '../model/model.js';
import { newBill, type Bill } from '../budget/bill.js';
import { payerOf } from '../budget/budget-rules.js';
import type { Reserved } from '../budget/budgets.js';
import { weighMessage } from '../model/context-weight.js';
import { PlaceGate } from '../model/place-gate.js';
import { refuseModel } from '../model/refuse-model.js';
import type { Standing } from '../../../src/shared/person.js';
import type { TranscriptMessage } from '../store/store.js';
import type { Turn } from './turn.js';

/** Real tokens for each that is estimated: the estimate has three bytes for one. */
const MOST_FOR_ESTIMATE = 3;

interface Asker extends Pick<Turn, 'turn' | 'parts' | 'log' | 'signal'> {
  /** With which rights, where the step that stores them is still on its way. Absent: those of the row. */
  who?: Standing;
}

/** A request that is under way. */
export interface Asked {
  /** What of the transcript was sent; it may become less until the answer is there. */
  sent: SentContext;
  /** Complete when the answer is there, or has failed. */
  bill: Bill;
  events: AsyncIterator<ModelEvent>;
  /** The first of them, which is asked for already. */
  first: Promise<IteratorResult<ModelEvent>>;
  /** Ended by whoever reads the answer. */
  place: ModelPlace;
  /** Of the transcript. */
  messages: number;
}

/** Waits for the tools to be known, for a place and for a rest of the budgets: the history is read after that. ERR_CANCELLED, ERR_BUDGET, and the errors of a place. */
export async function askInTurn(turn: Turn): Promise<Asked> {
  const { parts, log, signal, onWait } = turn;
  const { model, user } = log.row;
  await ready(turn);
  const gate = new PlaceGate(() => parts.places.take({ user, model, signal, onWait }));
  const asked = await askThrough(turn, gate, () => log.transcript());
  if (!asked) throw new Error('a place that is waited for is given');
  return asked;
}

/** Undefined: there was no place, and nobody waits for one. */
async function askThrough(
  asker: Asker,
  gate: PlaceGate,
  transcript: () => Promise<readonly TranscriptMessage[]> | readonly TranscriptMessage[],
  unstoredTokens = 0,
): Promise<Asked | undefined> {
  let reserved: Reserved | undefined;
  try {
    reserved = await reserve(asker, gate, unstoredTokens);
    const { place } = gate;
    return place && (await askModel(asker, await transcript(), { place, reserved }));
  } catch (error) {
    gate.leave();
    await asker.parts.meter.drop(reserved);
    throw error;
  }
}

/** The user may ask this model, and the tools are known. ERR_CANCELLED, ERR_MODEL_NOT_ALLOWED. */
async function ready(asker: Asker): Promise<void> {
  const { parts, log, signal } = asker;
  const caller = callerOf(asker);
  refuseModel(parts.config, log.row.model, caller.who);
  await abortable(() => parts.catalogue.ready(caller), signal);
}

function callerOf({ log, who }: Asker): Caller {
  const { session, user } = log.row;
  return { session, user, who: who ?? log.row.who };
}

/** From each budget that holds. Who waits for others of the same budget keeps no place from those of another, and who waits for a place no money. */
function reserve(asker: Asker, gate: PlaceGate, unstoredTokens: number): Promise<Reserved | undefined> {
  const { turn, parts, log, signal } = asker;
  const { model: settings } = parts.config;
  const { model, history } = log.row;
  const caller = callerOf(asker);
  const call = {
    model,
    system: settings.system,
    tools: () => parts.toolSet(caller).toolsWith([]),
    // At most: digits, rare scripts and base64 have a token for each byte. What is sent is cut by an estimate of a third of that.
    messages: Math.min(settings.historyTokens, (history?.bytes ?? 0) / 3 + unstoredTokens) * MOST_FOR_ESTIMATE,
    maxTokens: settings.maxTokens,
  };
  return parts.meter.reserve(payerOf(caller, turn), call, { signal, gate });
}

/** Resolves when the request is being sent. */
async function askModel(
  asker: Asker,
  transcript: readonly TranscriptMessage[],
  { place, reserved }: { place: ModelPlace; reserved: Reserved | undefined },
): Promise<Asked> {
  const { turn, parts, log, signal } = asker;
  const { model: settings } = parts.config;
  const { model } = log.row;
  const caller = callerOf(asker);
  const { historyTokens } = settings;
  const takes = parts.model.maxPromptTokens?.(model);
  const sent = new SentContext(transcript, log.row.context, { historyTokens, takes });
  const request: ModelRequest = {
    place,
    model,
    system: settings.system,
    note: [parts.catalogue.note(caller), imageNote(parts.config.images, log.row.image)].filter(Boolean).join('\n'),
    messages: sent.messages(),
    shorter: (size) => sent.shorter(size),
    tools: parts.toolSet(caller).toolsWith(foundIn(transcript)),
    maxTokens: settings.maxTokens,
    withheld: log.row.withheld,
  };
  // Building the request blocks this thread for a millisecond, so the last results are sent first.
  await parts.outbox.sent();
  const bill = newBill();
  const payer = payerOf(caller, turn);
  const events = parts.meter.stream(request, { payer, bill, reserved }, signal);
  const first = events.next();
  first.catch(() => undefined); // whoever reads the answer gets the failure
  return { sent, bill, events, first, place, messages: transcript.length };
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
  #onWait: ((wait: ModelCallWait | undefined) => void) | undefined;

  constructor(
    turn: number,
    asker: Pick<Asker, 'parts' | 'log' | 'who'>,
    transcript: Promise<readonly TranscriptMessage[] | undefined>,
  ) {
    this.turn = turn;
    this.#asked = this.#ask({ ...asker, turn, signal: this.abort.signal }, transcript);
    this.#asked.catch(() => undefined); // the round that takes it gets the failure
  }

  /** The request, once; undefined when it was not made, or was taken already. From then on a wait is told. */
  take(onWait: (wait: ModelCallWait | undefined) => void): Promise<Asked | undefined> | undefined {
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
    const onWait = (wait: ModelCallWait | undefined): void => {
      this.#wait = wait;
      this.#onWait?.(wait);
    };
    const newest = read.at(-1);
    const gate = new PlaceGate(async () => parts.places.tryTake({ user, model, signal, onWait }));
    return askThrough(asker, gate, () => read, newest ? weighMessage(newest) : 0);
  }
}
