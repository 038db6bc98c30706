/** The messages of a schema thread, which checks values against schemas of MCP servers. Types only. */

/** Both as JSON text, which crosses threads faster than objects. */
export interface CheckRequest {
  schema: string;
  value: string;
}

export type CheckAnswer =
  /** Once, when the thread can check. */
  | { type: 'ready' }
  | { type: 'fits' }
  | { type: 'misfit'; problem: string }
  /** The schema is not valid, so nothing is checked. */
  | { type: 'no-schema'; why: string };
