/** The credential: a fixed one, or one that is asked for, also before it ends. */

/** `refused`: the server took the last one for bad or ended, so one from a cache does not help. */
export type Token = string | undefined | ((asked: { refused: boolean }) => string | Promise<string>);

const AGAIN_MS = 10_000;
const LEAST_MS = 1_000;
/** A timer takes no more than 24.8 days. */
const MOST_MS = 86_400_000;

export function readToken(token: Token, refused: boolean): Promise<string | undefined> {
  // `async`, so that what throws at once is a rejection too.
  return (async () => (typeof token === 'function' ? await token({ refused }) : token))();
}

/** Asks for a newer credential before the one that counts ends, and hands it on. */
export class Renewal {
  readonly #token: Token;
  readonly #renew: (token: string) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Names the plan that counts: what was asked for under an earlier one is not handed on. */
  #plan = {};

  constructor(token: Token, renew: (token: string) => void) {
    this.#token = token;
    this.#renew = renew;
  }

  /** `expiresAt`: ms since the epoch. Without it the credential does not end by itself. */
  plan(expiresAt: number | undefined): void {
    this.stop();
    if (expiresAt === undefined || typeof this.#token !== 'function') return;
    const leftMs = expiresAt - Date.now();
    const waitMs = Math.max(leftMs * 0.8, leftMs - 60_000);
    if (waitMs > MOST_MS) this.#set(MOST_MS, () => this.plan(expiresAt));
    else this.#set(waitMs, () => void this.#ask());
  }

  /** The server could not look at the newer one now. */
  again(): void {
    this.stop();
    this.#set(AGAIN_MS, () => void this.#ask());
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#plan = {};
  }

  async #ask(): Promise<void> {
    const plan = this.#plan;
    // Where it fails until the end, the server closes the socket, and the next attempt says why.
    const token = await readToken(this.#token, false).catch(() => undefined);
    if (this.#plan !== plan) return;
    if (token === undefined) this.again();
    else this.#renew(token);
  }

  #set(ms: number, work: () => void): void {
    this.#timer = setTimeout(work, Math.max(LEAST_MS, ms));
  }
}
