/** Finds heads that two readers, such as a proxy and this server, could understand in two ways (RFC 9112, sections 3.2 and 6). Pure. */

/** Headers that must not come twice. */
const ONCE = new Set(['host', 'content-length', 'transfer-encoding', 'authorization', 'origin', 'sec-websocket-key']);

/** The problem, in words, or undefined. `each` visits all headers, names in lower case. */
export function headProblem(each: (visit: (name: string, value: string) => void) => void): string | undefined {
  const seen = new Map<string, string>();
  let problem: string | undefined;
  each((name, value) => {
    if (!ONCE.has(name)) return;
    if (seen.has(name)) problem ??= `the header ${name} comes twice`;
    seen.set(name, value);
  });
  const length = seen.get('content-length');
  const coding = seen.get('transfer-encoding');
  if (length !== undefined && !/^\d{1,15}$/.test(length)) problem ??= 'the content-length is no number';
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') {
    problem ??= 'the only transfer-encoding that is understood is chunked';
  }
  if (length !== undefined && coding !== undefined) problem ??= 'a body has a content-length or is chunked, not both';
  return problem;
}
