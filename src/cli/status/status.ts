/** Looks at a server as an operator would: its probe, its status, and, when it does not run, what systemd knows. Command line's process. */
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { z } from 'zod';
import { isFairleadError } from '../../shared/errors.js';
import { serverStatusSchema, type ServerStatus } from '../../shared/server-status.js';
import { cutWords, tlsWords } from '../tls-words.js';
import { isOnThisMachine, safeEndpoint } from '../endpoint.js';
import { HttpApi, isTimeout } from '../http-api.js';
import { messageOf } from '../report.js';
import { askSystemd, type UnitState } from './unit-state.js';

const PROBE_MS = 5_000;
const WATCH_MS = 2_000;
const GUESSED =
  'the configuration has problems, so this address is not from it: `fairlead serve --check-config` names them';

export interface Seen {
  /** Not answering: something has the port, and says nothing. Not reachable: it is another machine's, so nobody here knows whether it runs. */
  state: 'ready' | 'not ready' | 'not answering' | 'not running' | 'not reachable';
  url: string;
  /** What is wrong, in words. */
  reasons: string[];
  status?: ServerStatus;
  /** Why there are no numbers. */
  note?: string;
  /** Of the unit, where systemd has one and the server does not run. */
  service?: UnitState;
}

export interface StatusLookOptions {
  url: string;
  /** Throws what keeps a token from being sent. */
  token: () => string | undefined;
  insecure: boolean;
  /** Asked about a server of this machine that does not run. */
  unit: string;
  /** The address is not from the configuration, which cannot be read. */
  isGuess?: boolean;
}

const readyzSchema = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });

export class StatusLook {
  readonly #options: StatusLookOptions;

  constructor(options: StatusLookOptions) {
    this.#options = options;
  }

  /** Rejects for an address or a token that cannot be used; a server that is not there is an answer. */
  async now(): Promise<Seen> {
    const { url, insecure, unit, isGuess = false } = this.#options;
    const guessed = isGuess ? [GUESSED] : [];
    const open = safeEndpoint({ url, token: undefined, insecure });
    const here = isOnThisMachine(open);
    const probe = await readyz(open.http, here);
    if ('why' in probe) {
      const reasons = [`no server answers at ${url} (${probe.why})`, ...guessed];
      const seen: Seen = {
        state: probe.isSilent ? 'not answering' : here ? 'not running' : 'not reachable',
        url,
        reasons,
      };
      const service = here ? await askSystemd(unit) : undefined;
      return service ? { ...seen, service } : seen;
    }
    const { ready } = probe;
    const reasons = [...probe.reasons, ...guessed];
    const seen: Seen = { state: ready ? 'ready' : 'not ready', url, reasons };
    try {
      const token = this.#options.token();
      const { http } = safeEndpoint({ url, token, insecure });
      const status = await new HttpApi(http, token).ask('/v1/admin/status', serverStatusSchema);
      return { ...seen, state: status.ready ? 'ready' : 'not ready', reasons: [...status.reasons, ...guessed], status };
    } catch (error) {
      if (isFairleadError(error, 'ERR_UNAUTHORIZED') || isFairleadError(error, 'ERR_FORBIDDEN')) {
        return { ...seen, note: `no numbers: ${messageOf(error)}. They need a token of the role operator (--token)` };
      }
      return { ...seen, note: `no numbers: ${messageOf(error)}` };
    }
  }

  /** Until the process is told to end. */
  async repeat(show: () => Promise<unknown>): Promise<void> {
    for (;;) {
      await show();
      await delay(WATCH_MS);
    }
  }
}

interface Unanswered {
  why: string;
  /** It was not refused: nothing came in time. */
  isSilent?: boolean;
}

/** `here`: by its address a certificate would not be trusted, and nothing is told to whoever answers. */
async function readyz(base: string, here: boolean): Promise<z.infer<typeof readyzSchema> | Unanswered> {
  const dispatcher = new Agent({ connect: { rejectUnauthorized: !here } });
  try {
    const { body } = await request(`${base}/readyz`, { dispatcher, signal: AbortSignal.timeout(PROBE_MS) });
    const parsed = readyzSchema.safeParse(await body.json());
    return parsed.success ? parsed.data : { why: 'what answers there is not Fairlead' };
  } catch (error) {
    if (error instanceof SyntaxError) return { why: 'what answers there is not Fairlead' };
    if (isTimeout(error)) return { why: `no answer within ${PROBE_MS / 1_000} s`, isSilent: true };
    const { code, message } = error as NodeJS.ErrnoException;
    return { why: tlsWords(error) ?? cutWords(error, base) ?? code ?? message };
  } finally {
    await dispatcher.destroy();
  }
}
