/** The name of a request, in its answer, in its errors and in the log: the client's or its proxy's own, if it is well-formed. Main thread. */
import { randomUUID } from 'node:crypto';

/** What proxies and libraries make: UUIDs, trace ids, base64. Nothing that a terminal or a query of a log would take for more than text. */
const WELL_FORMED = /^[\w.:+/=@-]{1,128}$/;

/** `given`: the header `x-request-id`, or ''. */
export function requestIdOf(given: string): string {
  return WELL_FORMED.test(given) ? given : randomUUID();
}
