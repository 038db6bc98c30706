/** One job of the client against one server, with its CPU cost; and the sum of several. */
import { processMs } from '../suite/cpu.js';
import type { ForkedChild } from './child.js';
import type { LoadJob, LoadTold } from './messages.js';

export interface Sample {
  seconds: number;
  /** ms, of every answer. */
  latencies: number[];
  wrong: number;
  errors: number;
  /** Share of the time in which the client was not idle. */
  clientBusy: number;
  serverCpuMs: number;
  storeCpuMs: number;
}

export async function takeSample(
  client: ForkedChild,
  job: LoadJob,
  { server, store }: { server: number; store: number },
): Promise<Sample> {
  const before = await Promise.all([processMs(server), processMs(store)]);
  const told = await client.ask<LoadTold>(job);
  const after = await Promise.all([processMs(server), processMs(store)]);
  if (told.type === 'failed') throw new Error(`autocannon: ${told.message}`);
  const { result } = told;
  if (result.latencies.length === 0) throw new Error(`no answer with a 2xx from ${job.url}${job.paths[0] ?? ''}`);
  return {
    ...result,
    latencies: Array.from(result.latencies),
    serverCpuMs: after[0] - before[0],
    storeCpuMs: after[1] - before[1],
  };
}

export function together(samples: readonly Sample[]): Sample {
  const sum = (of: (sample: Sample) => number): number => samples.reduce((total, sample) => total + of(sample), 0);
  const seconds = sum((sample) => sample.seconds);
  return {
    seconds,
    latencies: samples.flatMap(({ latencies }) => latencies),
    wrong: sum(({ wrong }) => wrong),
    errors: sum(({ errors }) => errors),
    clientBusy: sum((sample) => sample.clientBusy * sample.seconds) / seconds,
    serverCpuMs: sum(({ serverCpuMs }) => serverCpuMs),
    storeCpuMs: sum(({ storeCpuMs }) => storeCpuMs),
  };
}

export function rate({ latencies, seconds }: Sample): number {
  return latencies.length / seconds;
}

/** Of the server, µs. */
export function cpuEach({ latencies, serverCpuMs }: Sample): number {
  return (serverCpuMs * 1_000) / latencies.length;
}
