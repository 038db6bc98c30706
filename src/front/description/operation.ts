/** The shape of an operation's description, and what many share. */
import type { z } from 'zod';

export type Tag = 'Sessions' | 'Files' | 'Usage' | 'MCP' | 'Log in' | 'Health' | 'Administration' | 'Pages';

export interface Answer {
  words: string;
  /** Of JSON. */
  schema?: z.ZodType;
  /** Of anything else: media types. */
  types?: readonly string[];
}

export interface Operation {
  tag: Tag;
  summary: string;
  /** Name of each query parameter, with what it means; `!` behind a name: it is required. */
  query?: Readonly<Record<string, string>>;
  headers?: Readonly<Record<string, string>>;
  answers: Readonly<Record<number, Answer>>;
}

export const PAGE = { limit: 'How many', after: '`next` of the page before' };
export const CURSOR = { limit: 'How many, 50 unless told, 200 at most', cursor: '`next` of the page before' };
export const DAYS = {
  by: 'What a row stands for',
  from: 'The first day, YYYY-MM-DD; absent: the month’s',
  to: 'The last day, YYYY-MM-DD; absent: today',
  limit: 'How many rows, 1,000 unless told, 10,000 at most',
  after: '`next` of the page before',
  format: '`json` or `csv`',
};
export const HISTORY = { limit: 'How many messages', before: 'The number of a message: those before it' };

export function ok(words: string, schema: z.ZodType): Operation['answers'] {
  return { 200: { words, schema } };
}
export function bytes(words: string, ...types: string[]): Operation['answers'] {
  return { 200: { words, types } };
}
/** With `If-None-Match`. */
export const SAME: Operation['answers'] = { 304: { words: 'It is the one that you have' } };
export const GONE: Operation['answers'] = { 204: { words: 'Done' } };

export function html(summary: string, tag: Tag = 'Pages'): Operation {
  return { tag, summary, answers: { 200: { words: 'A page', types: ['text/html'] } } };
}
