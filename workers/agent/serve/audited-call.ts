/** What the audit log tells of one call of an MCP client. Agent threads. */
import { audit, auditedAs, type AuditAct, type AuditOutcome } from '../../../src/shared/audit.js';
import type { NamedTool } from '../mcp/catalogue/tool-names.js';
import type { Served } from './parts.js';
import type { ServedCall } from './served-call.js';

export interface AuditedCall {
  of: Served;
  tool: NamedTool;
  args: Record<string, unknown>;
  call: ServedCall;
}

export class CallAudit {
  readonly #call: AuditedCall;
  readonly #startedAt = performance.now();

  constructor(call: AuditedCall) {
    this.#call = call;
  }

  asked(rule: string): void {
    this.#note('tool_asked', 'ok', { rule }, this.#call.args);
  }

  allowed(by: string, rule?: string): void {
    this.#note('tool_allowed', 'ok', { by, rule });
  }

  denied(by: string, rule?: string): void {
    this.#note('tool_denied', 'refused', { by, rule });
  }

  done(ok: boolean): void {
    this.#note('tool_done', ok ? 'ok' : 'failed', { ms: Math.round(performance.now() - this.#startedAt) });
  }

  #note(
    what: AuditAct,
    outcome: AuditOutcome,
    facts: Record<string, string | number | undefined>,
    args?: Record<string, unknown>,
  ): void {
    const { of, tool, call } = this.#call;
    const { server, definition } = tool;
    const about = { callId: call.id, server, tool: definition.name, ...facts };
    audit({ what, outcome, ...auditedAs(of.user, of.who), session: of.session, about, args });
  }
}
