/** Makes of a session's messages what its history keeps. They stay in order while a picture is made to fit or a file is looked at. Agent threads. */
import type { UserBlock } from '../../../src/shared/protocol.js';
import { fitMessage } from '../images/fit-blocks.js';
import type { Caller } from '../mcp/host/server-connection.js';
import type { AgentParts } from '../turn/turn.js';
import { fileBlocks } from './attached-files.js';
import { toModelBlock } from './user-content.js';

type Parts = Pick<AgentParts, 'config' | 'images' | 'servers' | 'statFile'>;

export class MessageContent {
  readonly #parts: Parts;
  #last: Promise<unknown> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Blocks of the Messages API. At once where nothing is to be made and nothing waits: such a message is stored in the tick in
   * which it came. ERR_BAD_IMAGE, ERR_UNAVAILABLE.
   */
  make(content: readonly UserBlock[], caller: Caller): unknown[] | Promise<unknown[]> {
    const before = this.#last;
    const plain = content.flatMap((block) => (block.type === 'text' ? [toModelBlock(block)] : []));
    if (!before && plain.length === content.length) return plain;
    const mine = this.#blocksOf(content, caller);
    mine.catch(() => undefined); // it may fail before its turn has come
    const inOrder = before ? before.then(() => mine) : mine;
    const last: Promise<void> = inOrder.then(
      () => this.#leave(last),
      () => this.#leave(last), // its error is for whoever has sent it
    );
    this.#last = last;
    return inOrder;
  }

  async #blocksOf(content: readonly UserBlock[], caller: Caller): Promise<unknown[]> {
    const { images, config } = this.#parts;
    const fitted = await fitMessage(content, images, config.limits.maxImageSide);
    const files = await fileBlocks(
      fitted.flatMap((block) => (block.type === 'file' ? [block.path] : [])),
      caller,
      this.#parts,
    );
    return fitted.map((block) => (block.type === 'file' ? files.shift() : toModelBlock(block)));
  }

  #leave(message: Promise<unknown>): void {
    if (this.#last === message) this.#last = undefined;
  }

  /** Resolves when no message of before waits. */
  async settled(): Promise<void> {
    await this.#last;
  }
}
