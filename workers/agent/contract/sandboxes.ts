/** Messages about a session's sandboxes that are not those of the docker thread. Types only. */

export interface SandboxRef {
  /** As in LeaseResult. */
  sandbox: string;
}

export interface ReleaseSessionRequest {
  session: string;
}
