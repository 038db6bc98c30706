/** Progress notifications as text for the user to read while a tool runs. Pure; agent threads. */

/** Our workspace server names stdout or stderr in the notification's _meta; other servers send plain progress. */
export function outputText(progress: object): { stream: 'stdout' | 'stderr' | 'progress'; text: string } {
  const {
    message,
    progress: done,
    total,
    _meta,
  } = progress as {
    message?: string;
    progress?: number;
    total?: number;
    _meta?: Record<string, unknown>;
  };
  const named = _meta?.['fairlead/stream'];
  if (named === 'stdout' || named === 'stderr') return { stream: named, text: message ?? '' };
  return { stream: 'progress', text: message || `${done ?? 0}${total === undefined ? '' : `/${total}`}\n` };
}
