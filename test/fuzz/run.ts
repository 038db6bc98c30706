/** Runs the targets in turns until the time is up, and judges the server that they attacked. Runs in tests. */
import { setImmediate as turn } from 'node:timers/promises';
import { bodiesTarget } from './server/bodies.js';
import { headsTarget } from './server/heads.js';
import { remoteTarget, sandboxTarget } from './server/answers.js';
import { socketsTarget } from './server/sockets.js';
import { startWorld } from './server/world.js';
import type { FuzzReport, Target, TargetReport } from './target.js';
import { framesTarget } from './targets/frames.js';
import { linesTarget } from './targets/lines.js';

/** The server's memory is taken as warm after this part of the time. */
const WARM = 1 / 3;
/** Memory that the allocator keeps varies by this much. */
const FLAT = { factor: 1.25, mb: 48 };
const MAX_VIOLATIONS = 20;

export interface FuzzOptions {
  seed: number;
  seconds: number;
  onTeardown: (end: () => Promise<unknown>) => void;
  onProgress?: (target: string, cases: number, doneSeconds: number) => void;
}

export async function runFuzz({ seed, seconds, onTeardown, onProgress }: FuzzOptions): Promise<FuzzReport> {
  const world = await startWorld(onTeardown);
  const targets = [
    framesTarget(seed),
    linesTarget(seed),
    socketsTarget(world, seed),
    headsTarget(world, seed),
    bodiesTarget(world, seed),
    sandboxTarget(world, seed),
    remoteTarget(world, seed),
  ];
  const reports = targets.map(({ name }): TargetReport => ({ name, cases: 0, seconds: 0, violations: [] }));
  const startedAt = performance.now();
  const spent = (): number => (performance.now() - startedAt) / 1_000;
  let warmMb = 0;
  while (spent() < seconds) {
    // The target that has had the least time.
    const report = reports.reduce((least, each) => (each.seconds < least.seconds ? each : least));
    await runBatch(targets[reports.indexOf(report)]!, report);
    onProgress?.(report.name, report.cases, spent());
    if (warmMb === 0 && spent() > seconds * WARM) warmMb = await world.rssMb();
    await turn();
  }
  const endMb = await world.rssMb();
  const lost = world.threadsLost();
  const violations = reports.flatMap(({ name, violations }) => violations.map((each) => `${name}: ${each}`));
  if (!(await isAlive(world.engine.url))) violations.push('the server does not answer any more');
  if (endMb > warmMb * FLAT.factor + FLAT.mb) violations.push(`the server grew from ${warmMb} to ${endMb} MB`);
  violations.push(...lost.map((msg) => `a thread was lost: ${msg}`));
  return { targets: reports, threadsLost: lost.length, memory: { warmMb, endMb }, violations };
}

async function runBatch(target: Target, report: TargetReport): Promise<void> {
  const startedAt = performance.now();
  try {
    const { cases, violations } = await target.batch();
    report.cases += cases;
    report.violations.push(...violations.slice(0, MAX_VIOLATIONS - report.violations.length));
  } catch (error) {
    report.violations.push(`a batch failed: ${String(error)}`);
  }
  report.seconds += (performance.now() - startedAt) / 1_000;
}

async function isAlive(url: string): Promise<boolean> {
  const response = await fetch(`${url}/healthz`).catch(() => undefined);
  return response?.status === 200;
}
