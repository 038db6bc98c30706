/** Who or what has used how much. */
import { oneLine } from '../model/plain.js';
import { costWords, countWords } from '../model/words.js';

export interface UsagePage {
  from: string;
  to: string;
  currency: string;
  rows: {
    name: string;
    inputTokens: number;
    outputTokens: number;
    cacheReadTokens: number;
    cacheWriteTokens: number;
    amount: number;
    answers: number;
    calls: number;
  }[];
  next?: string;
}

/** `first` names what a row is of. */
export function UsageTable({ page: { rows, currency, from, to, next }, first }: { page: UsagePage; first: string }) {
  if (rows.length === 0) return <p className="hint">Nothing yet.</p>;
  return (
    <div className="table" tabIndex={0} role="group" aria-label={`Use from ${from} to ${to}`}>
      <table>
        <thead>
          <tr>
            <th scope="col">{first}</th>
            <th scope="col">Read</th>
            <th scope="col">Written</th>
            <th scope="col">Answers</th>
            <th scope="col">Cost</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.name}>
              <th scope="row" dir="auto">
                {oneLine(row.name, 80)}
              </th>
              <td>{countWords(row.inputTokens + row.cacheReadTokens + row.cacheWriteTokens)}</td>
              <td>{countWords(row.outputTokens)}</td>
              <td>{countWords(row.answers + row.calls)}</td>
              <td>{row.amount === 0 ? '–' : costWords({ amount: row.amount, currency })}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {next !== undefined && <p className="hint">There are more: `fairlead usage` lists all of them.</p>}
    </div>
  );
}
