/** Types of fields that several parts of the configuration use. Main thread and command line. */
import { z } from 'zod';

/** Eleven days. Node's timers take 2^31 - 1 ms and fire at once beyond it; some deadlines are twice what is configured. */
const MAX_TIMER_MS = 1_000_000_000;

export const ms = z.number().int().nonnegative().max(MAX_TIMER_MS);
export const positive = z.number().int().positive();
export const positiveMs = positive.max(MAX_TIMER_MS);
export const glob = z.string().min(1).max(200);
