/** Days and months in UTC, as numbers that count on without a gap. Pure; every thread. */

const DAY_MS = 86_400_000;

/** Days since 1970-01-01. */
export function dayOf(at: number): number {
  return Math.floor(at / DAY_MS);
}

export function dayStart(day: number): number {
  return day * DAY_MS;
}

/** Months since January of year 0. */
export function monthOf(at: number): number {
  const date = new Date(at);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}

export function monthStart(month: number): number {
  return Date.UTC(Math.floor(month / 12), month % 12);
}

/** 2026-11-30. */
export function dayText(day: number): string {
  return new Date(dayStart(day)).toISOString().slice(0, 10);
}

/** Undefined for what is no day. */
export function parseDay(text: string): number | undefined {
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  // `Date.parse` turns February 30 into March 2.
  return Number.isNaN(at) || dayText(dayOf(at)) !== text ? undefined : dayOf(at);
}
