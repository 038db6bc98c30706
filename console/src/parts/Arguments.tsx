/** What a call is asked with, whole. */
import { argumentText, oneLine } from '../model/plain.js';

export function Arguments({ args }: { args: Record<string, unknown> }) {
  const entries = Object.entries(args);
  if (entries.length === 0) return <p className="hint">without arguments</p>;
  return (
    <dl className="arguments">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{oneLine(name, 100)}</dt>
          <dd>
            <pre className="mono whole">{argumentText(value)}</pre>
          </dd>
        </div>
      ))}
    </dl>
  );
}
