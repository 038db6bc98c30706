/** Numbers and times in words. Pure. */

export function durationWords(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}

/** What is left until then. */
export function leftWords(until: number, now: number): string {
  const s = Math.max(0, Math.ceil((until - now) / 1_000));
  if (s < 60) return `${s} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes}:${String(s % 60).padStart(2, '0')}`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

export function agoWords(at: number, now: number): string {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return 'now';
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h`;
  const days = Math.floor(hours / 24);
  return days < 7 ? `${days} d` : new Date(at).toLocaleDateString();
}

export function countWords(count: number): string {
  return count < 1_000 ? String(count) : `${(count / 1_000).toFixed(count < 10_000 ? 1 : 0)}k`;
}

export function sizeWords(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  const units = ['KB', 'MB', 'GB', 'TB'];
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), units.length);
  const value = bytes / 1_024 ** power;
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[power - 1]}`;
}

export function costWords({ amount, currency }: { amount: number; currency: string }): string {
  const digits = amount !== 0 && Math.abs(amount) < 0.01 ? 4 : 2;
  return `${amount.toFixed(digits)} ${currency}`;
}

const STOPS: Record<string, string> = {
  max_tokens: 'The answer has reached its longest length.',
  cancelled: 'Stopped.',
  interrupted: 'Interrupted: the server stopped before the turn did.',
  refusal: 'The model has refused to answer.',
};

/** Undefined for what needs no word. */
export function stopWords(stopReason: string): string | undefined {
  return STOPS[stopReason];
}

const WAITS: Record<string, string> = {
  model_rate: 'The model is over its rate limit',
  fairness: 'Others are served first',
  sandbox: 'A sandbox is being prepared',
};

export function waitWords(reason: string, retryAfterMs: number | undefined): string {
  const words = WAITS[reason] ?? 'It waits';
  return retryAfterMs === undefined ? `${words} …` : `${words}: about ${durationWords(retryAfterMs)} …`;
}

/** For a list: who is first, what is older. */
export function dayOf(at: number, now: number): 'Today' | 'This week' | 'Earlier' {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (at >= midnight) return 'Today';
  return at >= midnight - 6 * 86_400_000 ? 'This week' : 'Earlier';
}
