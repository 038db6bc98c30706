/** Knows the patterns that every engine reads alike: the model's API compiles them with another than ours. Pure; agent threads. */

/** Escapes with letters that JavaScript, Python, Rust and RE2 share; of the others, one engine or another knows nothing. */
const SHARED_ESCAPES = /^[dDwWsSbBnrtfv]$/;
const MAX_PATTERN = 2_000;

/** Compiling a pattern is cheap; it is never run here. */
export function isSafePattern(pattern: string): boolean {
  if (pattern.length > MAX_PATTERN || !pattern.isWellFormed()) return false;
  for (const [, after] of pattern.matchAll(/\\([\s\S])/g)) {
    if (/[a-zA-Z0-9]/.test(after!) && !SHARED_ESCAPES.test(after!)) return false;
  }
  // Groups with names and look-behinds are written differently elsewhere, or are not known.
  if (/\(\?(?![:=!])/.test(pattern)) return false;
  try {
    return new RegExp(pattern, 'u').source !== '';
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
