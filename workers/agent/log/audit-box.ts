/** Gathers an agent thread's entries of the audit log on their way to the main thread, which writes them. Agent threads. */
import { auditTo } from '../../../src/shared/audit.js';
import type { AuditConfig } from '../../../src/shared/config-audit.js';
import type { Channel } from '../../../src/shared/threads/channel.js';
import type { AgentContract, AgentHostContract } from '../contract/messages.js';

/** Each message wakes the main thread, which costs more than the entries in it. */
const GATHER_MS = 10;
const MAX_GATHERED = 200;

type HostChannel = Pick<Channel<AgentContract, AgentHostContract>, 'notify' | 'request'>;

/** This thread's entries go to the main thread until `close`. */
export function openAuditBox(
  { enabled, sync, arguments: kept }: Pick<AuditConfig, 'enabled' | 'sync' | 'arguments'>,
  channel: HostChannel,
): { close(): void } {
  if (!enabled) return { close: () => undefined };
  const box = new AuditBox(channel);
  auditTo({
    arguments: kept,
    post: (entry) => box.post(entry),
    stored: (entry) => (sync === 'each' ? box.stored(entry) : Promise.resolve(box.post(entry))),
    flush: () => box.flush(),
  });
  return {
    close: () => {
      auditTo(undefined);
      box.flush();
    },
  };
}

class AuditBox {
  readonly #channel: HostChannel;
  #gathered: string[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(channel: HostChannel) {
    this.#channel = channel;
  }

  post(entry: string): void {
    this.#gathered.push(entry);
    if (this.#gathered.length >= MAX_GATHERED) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  async stored(entry: string): Promise<void> {
    const entries = [...this.#take(), entry];
    await this.#channel.request('audit-stored', { entries });
  }

  flush(): void {
    const entries = this.#take();
    if (entries.length > 0) this.#channel.notify('audit', { entries });
  }

  #take(): string[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const entries = this.#gathered;
    this.#gathered = [];
    return entries;
  }
}
