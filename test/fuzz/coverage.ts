/** Tells which inputs reach code that no input has reached before, by V8's own block coverage. Runs in tests. */
import { Session, type Profiler } from 'node:inspector';

/** Counts what is covered in the files whose address contains one of `parts`. */
export class Coverage {
  readonly #session = new Session();
  readonly #parts: readonly string[];
  readonly #seen = new Set<string>();

  constructor(parts: readonly string[]) {
    this.#parts = parts;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true });
  }

  get blocks(): number {
    return this.#seen.size;
  }

  /** How many blocks were run since the last call that never ran before. The session answers within the call. */
  takeNew(): number {
    const before = this.#seen.size;
    this.#session.post('Profiler.takePreciseCoverage', (error, { result }: Profiler.TakePreciseCoverageReturnType) => {
      if (error) throw error;
      for (const script of result) {
        if (!this.#parts.some((part) => script.url.includes(part))) continue;
        for (const { ranges } of script.functions) {
          for (const { startOffset, endOffset, count } of ranges) {
            if (count > 0) this.#seen.add(`${script.scriptId}:${startOffset}:${endOffset}`);
          }
        }
      }
    });
    return this.#seen.size - before;
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }
}
