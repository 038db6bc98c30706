/** Checks JSON from a client before anything parses it. Main thread. */
import { shapeProblem, type JsonLimits } from '../shared/json-shape.js';

/** Of one frame or body. No message, form or tool call has so many. */
const LIMITS: JsonLimits = { parts: 10_000, depth: 100 };

/** Throws a SyntaxError, for too many parts or levels too. */
export function parseJson(text: string): unknown {
  checkJson(text);
  return JSON.parse(text);
}

/** Throws a SyntaxError when the text has too many parts or levels. It does not check the rest of JSON's grammar. */
export function checkJson(text: string): void {
  const problem = shapeProblem(text, LIMITS);
  if (problem !== '') throw new SyntaxError(problem);
}
