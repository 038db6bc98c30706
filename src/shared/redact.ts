/**
 * Replaces what looks like a secret in data that is kept: fields by their name, texts by their shape. It finds the usual kinds, not
 * all. Pure; every thread.
 */

export const REDACTED = '[redacted]';

/** Names of fields whose whole value is a secret, without case and separators. */
const SECRET_FIELD =
  /^(?:.*(?:password|passwd|passphrase|secret|apikey|accesskey|privatekey|credential|credentials|authorization|bearer|cookie)|(?:.*(?:auth|access|refresh|id|session|api|bot|csrf|xsrf|personal|user))?token|pwd|pin|otp|auth|jwt)$/;

/** Each is found in linear time: no part of a pattern can match the same characters as its neighbour. */
const SECRET_TEXTS: readonly RegExp[] = [
  /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,40}-----)?/g,
  // JSON Web Tokens
  /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g,
  // Tokens with a prefix that their makers chose so that scanners find them
  /\b(?:flt_|sk-|pk_live_|sk_live_|rk_live_|gh[opsur]_|github_pat_|glpat-|xox[abeoprs]-|npm_|pypi-|hf_|dop_v1_|shpat_|AIza|ya29\.)[\w.-]{16,}/g,
  /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g,
];
/** What follows a scheme or the name of a secret. The first group stays. */
const SECRET_PARTS: readonly RegExp[] = [
  /\b((?:bearer|basic)\s{1,4})[\w.~+/=-]{8,}/gi,
  /(:\/\/[^\s/:@]{0,200}:)[^\s/@]{1,400}(?=@)/g,
  /\b((?:[\w-]{0,40})(?:password|passwd|secret|token|api[_-]?key|access[_-]?key)["']?\s{0,4}[=:]\s{0,4}["']?)[^\s"'&;,]{3,}/gi,
];

/** A copy. Data that calls for too many levels throws a RangeError, as JSON.stringify does. */
export function redact(value: unknown): unknown {
  if (typeof value === 'string') return redactText(value);
  if (Array.isArray(value)) return value.map(redact);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      redactText(name),
      isSecretField(name, item) ? REDACTED : redact(item),
    ]),
  );
}

export function redactText(text: string): string {
  if (text.length < 6) return text;
  let shown = text;
  for (const pattern of SECRET_TEXTS) shown = shown.replace(pattern, REDACTED);
  for (const pattern of SECRET_PARTS) shown = shown.replace(pattern, `$1${REDACTED}`);
  return shown;
}

/** A number or a yes and no tells nothing (`maxTokens`), and an object is looked into. */
function isSecretField(name: string, value: unknown): boolean {
  if (typeof value !== 'string' && !isNumericPin(name, value)) return false;
  return SECRET_FIELD.test(name.replaceAll(/[^A-Za-z]/g, '').toLowerCase());
}

function isNumericPin(name: string, value: unknown): boolean {
  return typeof value === 'number' && /^(?:pin|otp|pwd|password|passcode)$/i.test(name);
}
