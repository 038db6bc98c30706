/** One sandbox as the pools know it, from its first moment to its end. Docker thread. */
import type { FoundSandbox, RunningSandbox } from '../driver/driver.js';
import type { WarmServer } from './warm-server.js';

/**
 * starting ──▶ warm ──▶ leased ──▶ draining ──▶ gone
 *     │          └──────────────────▲             ▲
 *     └───────────────────────────────────────────┘
 * A start that fails removes what it made; from `warm` on, `drain` does. One that an earlier run has left begins as
 * `starting` when nobody had it, else as `leased`.
 */
export type SandboxState = 'starting' | 'warm' | 'leased' | 'draining';

/** Fields are there from the state on that needs them. */
export interface Sandbox {
  readonly name: string;
  /** Ends its start, or its adoption, early. */
  readonly abort: AbortController;
  state: SandboxState | 'gone';
  /** Until it is attached: what an earlier run has left. */
  readonly found?: FoundSandbox;
  /** From `warm` on. */
  running?: RunningSandbox;
  mcp?: WarmServer;
  /** When it last answered, ms on the monotonic clock. */
  aliveAt: number;
  /** Settles with its start; never rejects. */
  started: Promise<void>;
  removal?: Promise<void>;
}

export function makeSandbox(name: string, found?: FoundSandbox): Sandbox {
  return {
    name,
    abort: new AbortController(),
    state: 'starting',
    ...(found && { found }),
    aliveAt: 0,
    started: Promise.resolve(),
  };
}

/** Does it answer? */
export async function checkAlive(sandbox: Sandbox, timeoutMs: number): Promise<boolean> {
  if (!(await sandbox.mcp?.isAlive(timeoutMs))) return false;
  sandbox.aliveAt = performance.now();
  return true;
}
