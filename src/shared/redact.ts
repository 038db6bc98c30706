/**
 * Replaces what looks like a secret in data that is kept: fields by their name, texts by their shape. It finds the usual kinds, not
 * all. Pure; every thread.
 */

export const REDACTED = '[redacted]';

/** Names of fields whose value is a secret, and all that stands below them: without case, accents, separators and digits. */
const SECRET_FIELD =
  /^(?:.*(?:passwords?|passwds?|passphrases?|passcodes?|passwort|kennwort|motdepasse|contrasena|wachtwoord|secrets?|apikeys?|accesskeys?|privatekeys?|secretkeys?|signingkeys?|encryptionkeys?|credentials?|authorization|bearer|cookies?)|(?:.*(?:auth|access|refresh|id|session|api|bot|csrf|xsrf|personal|user))?tokens?|pwd|pin|otp|auth|jwt|sig)$/;

/** Each is found in linear time: no part of a pattern can match the same characters as its neighbour. */
const SECRET_TEXTS: readonly RegExp[] = [
  /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,40}-----)?/g,
  // JSON Web Tokens. They begin where no such text is before, so that a long row of beginnings is looked at once.
  /(?<![\w-])(?:[\w-]{0,64}-)?eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g,
  // Tokens with a prefix that their makers chose so that scanners find them
  /\b(?:flt_|sk-|pk_live_|sk_live_|rk_live_|gh[opsur]_|github_pat_|glpat-|xox[abeoprs]-|npm_|pypi-|hf_|dop_v1_|shpat_|AIza|ya29\.)[\w.-]{16,}/g,
  /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g,
];

/** As names of settings, variables and flags end. */
const NAMED =
  'password|passwd|passphrase|passcode|passwort|kennwort|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|credentials?';
/** What follows a scheme, a flag or the name of a secret. The first group stays. */
const SECRET_PARTS: readonly RegExp[] = [
  /\b((?:bearer|basic)\s{1,4})[\w.~+/=-]{8,}/gi,
  /(:\/\/[^\s/:@]{0,200}:)[^\s/@]{1,400}(?=@)/g,
  new RegExp(String.raw`\b((?:[\w-]{0,40})(?:${NAMED})["']?\s{0,4}[=:]\s{0,4}["']?)[^\s"'&;,]{3,}`, 'gi'),
  // --token VALUE
  new RegExp(String.raw`((?:^|\s)--?[\w-]{0,40}(?:${NAMED})\s{1,4}["']?)[^\s"'&;,-][^\s"'&;,]{2,}`, 'gi'),
  // Programs with a flag of one letter for it: mysql -pVALUE, sshpass -p VALUE, curl -u NAME:VALUE
  /(\b(?:mysql|mariadb)[\w-]{0,20}\s(?:[^|;&\n]{0,200}?\s)?-p)[^\s"']{3,}/g,
  /(\bsshpass\s{1,4}-p\s{0,4}["']?)[^\s"']{3,}/g,
  /((?:^|\s)(?:-u|--(?:proxy-)?user)[ =]{0,4}["']?[^\s:"'=]{1,100}:)[^\s"']{3,}/g,
  // Signed addresses
  /([?&](?:sig|(?:x-(?:amz|goog|oss)-)?signature|x-(?:amz|goog)-(?:security-token|credential))=)[^\s"'&#]{3,}/gi,
];

/** A text of JSON that is longer is looked at as text alone. */
const MAX_JSON_CHARS = 1_000_000;

/** A copy. Data that calls for too many levels throws a RangeError, as JSON.stringify does. */
export function redact(value: unknown): unknown {
  if (typeof value === 'string') return redactText(redactJson(value));
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

/** A text that is JSON, such as the body of a request. It stays as it was written unless there is a secret in it. */
function redactJson(text: string): string {
  if (!/^\s{0,20}[[{]/.test(text) || text.length > MAX_JSON_CHARS) return text;
  try {
    const parsed: unknown = JSON.parse(text);
    const shown = JSON.stringify(redact(parsed));
    return shown === JSON.stringify(parsed) ? text : shown;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    if (error instanceof RangeError) return REDACTED; // nobody can say what is on so many levels
    throw error;
  }
}

/** A yes or no tells nothing, and neither does a number of tokens (`idTokens: 5`). */
function isSecretField(name: string, value: unknown): boolean {
  if (value === null || value === undefined || typeof value === 'boolean') return false;
  const plain = name
    .normalize('NFKD')
    .replaceAll(/[^A-Za-z]/g, '')
    .toLowerCase();
  if (typeof value === 'number' && plain.endsWith('tokens')) return false;
  return SECRET_FIELD.test(plain);
}
