/** The client: autocannon in a process of its own, one job after the other, so that its code stays warm. */
import autocannon from 'autocannon';
import { liveWithParent, tell } from './child-life.js';
import type { LoadJob, LoadResult, LoadTold } from './messages.js';

/** Longer than any turn takes under the load of this bench. */
const TIMEOUT_S = 30;
/** How often autocannon checks whether the job is over. */
const LOOK_MS = 50;
/** The job ends after as many failures: a client that cannot connect would try for ever. */
const BAIL_OUT = 1_000;

liveWithParent();
process.on('message', (job: LoadJob) => {
  run(job).then(
    (result) => tell({ type: 'done', result } satisfies LoadTold),
    (error: unknown) => tell({ type: 'failed', message: String(error) } satisfies LoadTold),
  );
});

function run(job: LoadJob): Promise<LoadResult> {
  const { url, connections, method, paths, headers, body, expect, extent } = job;
  const request = { method, headers, ...(body === undefined ? {} : { body }) };
  const latencies: number[] = [];
  const loopBefore = performance.eventLoopUtilization();
  const startedAt = performance.now();
  let lastAt = startedAt;
  let client = 0;
  return new Promise((resolve, reject) => {
    const options: autocannon.Options = {
      url,
      connections,
      timeout: TIMEOUT_S,
      sampleInt: LOOK_MS,
      bailout: BAIL_OUT,
      ...('each' in extent ? { amount: extent.each * connections } : { duration: extent.seconds }),
      setupClient: (each) => each.setRequests([{ ...request, path: paths[client++ % paths.length] }]),
      verifyBody: (text) => String(text).includes(expect),
    };
    const instance = autocannon(options, (error: unknown, result) => {
      if (error) {
        reject(error instanceof Error ? error : new Error('autocannon failed', { cause: error }));
        return;
      }
      const { utilization } = performance.eventLoopUtilization(loopBefore);
      resolve({
        seconds: (lastAt - startedAt) / 1_000,
        latencies: Float64Array.from(latencies),
        wrong: result.non2xx + result.mismatches,
        errors: result.errors,
        clientBusy: utilization,
      });
    });
    // autocannon's own histogram has whole milliseconds only.
    instance.on('response', (_client, status, _bytes, ms) => {
      if (status < 200 || status > 299) return;
      latencies.push(ms);
      lastAt = performance.now();
    });
  });
}
