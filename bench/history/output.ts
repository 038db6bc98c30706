/** What tools print: logs, nested JSON, listings, test runs, stack traces. */
import type { Project } from './project.js';
import { sentence } from './prose.js';
import type { Random } from './random.js';

/** 2026-01-01, ms since the epoch. */
const START = 1_767_225_600_000;
const YEAR_MS = 31_536_000_000;
const LEVELS = ['info', 'info', 'info', 'debug', 'debug', 'warn', 'error'];

export function logLines(random: Random, project: Project, characters: number): string {
  const shapes = Array.from({ length: 6 }, () => sentence(random, project).replace(/[.?]$/, ''));
  const host = `${project.noun(random)}-${random.int(1, 9)}`;
  let at = START + Math.floor(random.next() * YEAR_MS);
  return untilLong(characters, () => {
    at += random.size(80, 1.5);
    const fields = Array.from(
      { length: random.int(0, 3) },
      () => `${random.pickCommon(project.fields)}=${scalar(random, project)}`,
    );
    const what = `${random.pickCommon(shapes)} ${fields.join(' ')}`.trimEnd();
    return `${new Date(at).toISOString()} ${random.pick(LEVELS).padEnd(5)} ${host} [${random.hex(8)}] ${what}`;
  });
}

export function json(random: Random, project: Project, characters: number): string {
  const shape = shapeOf(random, project, 0);
  const rows: unknown[] = [];
  for (let length = 0; length < characters;) {
    const row = fill(random, project, shape);
    rows.push(row);
    length += JSON.stringify(row, null, 2).length;
  }
  return JSON.stringify({ [project.noun(random)]: rows, total: rows.length, next: random.hex(16) }, null, 2);
}

/** `ls -l`. */
export function listing(random: Random, project: Project, characters: number): string {
  return untilLong(characters, () => {
    const at = new Date(START + Math.floor(random.next() * YEAR_MS)).toISOString();
    const size = String(random.size(3_000, 1.4)).padStart(8);
    return `-rw-r--r-- 1 agent agent ${size} ${at.slice(0, 10)} ${at.slice(11, 16)} ${random.pickCommon(project.files)}`;
  });
}

export function testRun(random: Random, project: Project, characters: number): string {
  let index = 0;
  const body = untilLong(characters, () => {
    index += 1;
    const ms = `${(random.size(12, 1.2) + random.next()).toFixed(3)}ms`;
    if (!random.chance(0.06)) return `ok ${index} - ${sentence(random, project)} # time=${ms}`;
    return `not ok ${index} - ${sentence(random, project)} # time=${ms}\n${stack(random, project)}`;
  });
  return `TAP version 14\n${body}\n1..${index}\n# time=${random.size(900)}ms`;
}

function stack(random: Random, project: Project): string {
  const frames = Array.from({ length: random.int(3, 9) }, () => {
    const place = `${random.pickCommon(project.files)}:${random.int(1, 400)}:${random.int(1, 80)}`;
    return `    at ${random.pickCommon(project.functions)} (/workspace/${place})`;
  });
  return [`  Error: ${sentence(random, project)}`, ...frames].join('\n');
}

type Shape = { kind: 'scalar' } | { kind: 'list'; of: Shape } | { kind: 'object'; fields: [string, Shape][] };

/** The same for all rows of an answer. */
function shapeOf(random: Random, project: Project, depth: number): Shape {
  if (depth > 0 && random.chance(0.65 + depth * 0.1)) return { kind: 'scalar' };
  if (depth > 0 && random.chance(0.3)) return { kind: 'list', of: shapeOf(random, project, depth + 1) };
  const names = Array.from({ length: random.int(3, 8) }, () => random.pick(project.fields));
  return {
    kind: 'object',
    fields: [...new Set(['id', ...names])].map((name) => [name, shapeOf(random, project, depth + 1)]),
  };
}

function fill(random: Random, project: Project, shape: Shape): unknown {
  switch (shape.kind) {
    case 'scalar':
      return value(random, project);
    case 'list':
      return Array.from({ length: random.int(0, 4) }, () => fill(random, project, shape.of));
    case 'object':
      return Object.fromEntries(shape.fields.map(([name, of]) => [name, fill(random, project, of)]));
  }
}

function value(random: Random, project: Project): unknown {
  const kind = random.next();
  if (kind < 0.25) return random.size(100, 2);
  if (kind < 0.35) return Math.round(random.next() * 1e4) / 1e4;
  if (kind < 0.45) return random.chance(0.5);
  if (kind < 0.5) return null;
  if (kind < 0.6) return sentence(random, project);
  return scalar(random, project);
}

function scalar(random: Random, project: Project): string {
  const kind = random.next();
  if (kind < 0.2) return random.hex(24);
  if (kind < 0.35) return new Date(START + Math.floor(random.next() * YEAR_MS)).toISOString();
  if (kind < 0.5) return random.pickCommon(project.files);
  if (kind < 0.7) return String(random.size(200, 1.8));
  return project.noun(random);
}

function untilLong(characters: number, line: () => string): string {
  const lines: string[] = [];
  for (let length = 0; length < characters; length += (lines.at(-1)?.length ?? 0) + 1) lines.push(line());
  return lines.join('\n');
}
