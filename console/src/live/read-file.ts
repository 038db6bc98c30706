/** A file of a session's workspace as text, for a comparison. */
const MOST_BYTES = 1_048_576;
const DEADLINE_MS = 60_000;

export type FileText =
  | { state: 'text'; text: string }
  | { state: 'none' }
  /** `why`: a sentence. */
  | { state: 'unknown'; why: string };

export async function readFileText(of: { session: string; server: string; path: string }): Promise<FileText> {
  const { session, server, path } = of;
  const query = new URLSearchParams({ path, server });
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), DEADLINE_MS);
  try {
    const response = await fetch(`/v1/sessions/${session}/files/content?${query.toString()}`, { signal: stop.signal });
    if (!response.ok) return await refusalOf(response);
    if (Number(response.headers.get('content-length')) > MOST_BYTES) {
      stop.abort();
      return { state: 'unknown', why: 'The file is too long to be compared here.' };
    }
    const bytes = await response.arrayBuffer();
    return { state: 'text', text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch (error) {
    // Bytes that are no text are a TypeError, too, as is a connection that was lost.
    const isNoText = error instanceof TypeError && /decod|encod/i.test(error.message);
    return { state: 'unknown', why: isNoText ? 'What is there is no text.' : 'The file cannot be read now.' };
  } finally {
    clearTimeout(timer);
  }
}

async function refusalOf(response: Response): Promise<FileText> {
  const { code = '' } = (await response.json().catch(() => ({}))) as { code?: string };
  if (code === 'ERR_NO_SUCH_FILE') return { state: 'none' };
  return { state: 'unknown', why: `The file as it is now cannot be read (${code === '' ? response.status : code}).` };
}
