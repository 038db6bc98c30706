/** A sandbox as the pools know it, from its start to its end. Docker thread. */
import type { FoundSandbox, RunningSandbox } from '../driver/driver.js';
import type { WarmServer } from './warm-server.js';

/**
 * starting ──▶ warm ──▶ leased ──▶ draining ──▶ gone
 *     │          └──────────────────▲             ▲
 *     └───────────────────────────────────────────┘
 * A failed start removes its own container; from `warm` on, `drain` does. A sandbox of an earlier run begins as `leased`,
 * or as `starting` if it is unused.
 */
export type SandboxState = 'starting' | 'warm' | 'leased' | 'draining';

/** Optional fields are set from the state on that needs them. */
export interface Sandbox {
  readonly name: string;
  /** Aborts its start or adoption. */
  readonly abort: AbortController;
  state: SandboxState | 'gone';
  /** Set if an earlier run started it. */
  readonly found?: FoundSandbox;
  /** As its lease record says it, for a sandbox of an earlier run. */
  startedAt?: string | undefined;
  /** From `warm` on. */
  running?: RunningSandbox;
  /** The streams of `running` have ended, and its container may run: programs still run in it, and it can be attached again. */
  cutOff?: boolean;
  mcp?: WarmServer;
  /** Who has it, while it is leased. */
  user?: string;
  /** Last answer, ms on the monotonic clock. */
  aliveAt: number;
  /** Resolves when its start has ended; never rejects. */
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

/** Whether its MCP server answers; notes the time if it does. */
export async function checkAlive(sandbox: Sandbox, timeoutMs: number): Promise<boolean> {
  if (!(await sandbox.mcp?.isAlive(timeoutMs))) return false;
  sandbox.aliveAt = performance.now();
  return true;
}
