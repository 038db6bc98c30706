import { ClientError } from 'fairlead/client';

/** What failed, with the code to look up. */
export function wordsOf(error: unknown): string {
  return error instanceof ClientError ? `${error.message} (${error.code})` : String(error);
}
