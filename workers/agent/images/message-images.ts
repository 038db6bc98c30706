/** The images of a session's messages, which keep their order while a picture is made to fit. Agent threads. */
import type { UserBlock } from '../../../src/shared/protocol.js';
import { fitMessage } from './fit-blocks.js';
import type { Images } from './images.js';

export class MessageImages {
  readonly #images: Pick<Images, 'fit'>;
  readonly #maxSide: () => number;
  #last: Promise<unknown> | undefined;

  constructor(images: Pick<Images, 'fit'>, maxSide: () => number) {
    this.#images = images;
    this.#maxSide = maxSide;
  }

  /** At once where nothing is to be made and nothing waits: such a message is stored in the tick in which it came. */
  fit(content: UserBlock[]): UserBlock[] | Promise<UserBlock[]> {
    const before = this.#last;
    if (!before && !content.some(({ type }) => type === 'image')) return content;
    const mine = fitMessage(content, this.#images, this.#maxSide());
    mine.catch(() => undefined); // it may fail before its turn has come
    const inOrder = before ? before.then(() => mine) : mine;
    const last: Promise<void> = inOrder.then(
      () => this.#leave(last),
      () => this.#leave(last), // its error is for whoever has sent it
    );
    this.#last = last;
    return inOrder;
  }

  #leave(message: Promise<unknown>): void {
    if (this.#last === message) this.#last = undefined;
  }

  /** Resolves when no message of before waits. */
  async settled(): Promise<void> {
    await this.#last;
  }
}
