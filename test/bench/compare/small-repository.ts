/** A repository with two commits whose benches take no time, and a `tsc` that only copies: for tests of a comparison. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';
import { someRatio, someResult } from '../some-result.js';

const IDENTITY = ['-c', 'user.name=test', '-c', 'user.email=test@localhost', '-c', 'commit.gpgsign=false'];

const TSC = `#!/bin/sh
mkdir -p dist && cp -r bench dist/ && cd dist/bench && for f in */*.ts; do mv $f \${f%.ts}.js; done
`;

/** Sends what the commit's own `value.ts` says; a negative one fails, and 0 waits until it is ended, and says that. */
const CHILD = `import { value } from './value.js';
const result = ${JSON.stringify(someResult())};
const end = (message) => process.send(message, () => process.disconnect());
if (value === 0) {
  setInterval(() => {}, 1000);
  process.on('SIGTERM', () => process.send({ type: 'failed', message: 'cleaned up' }, () => process.exit(130)));
  process.send({ type: 'progress', doing: 'waiting' });
} else if (value < 0) end({ type: 'failed', message: 'it broke' });
else end({ type: 'result', result: { ...result, bench: process.argv[2], ratios: [{ ...${JSON.stringify(someRatio())}, value }] } });
`;

export interface SmallRepository {
  root: string;
  commit: (value: number) => { name: string; hash: string };
  /** What git knows of: the repository's own work tree, and those that are left. */
  worktrees: () => string[];
}

export function smallRepository(t: Test): SmallRepository {
  const root = mkdtempSync(join(tmpdir(), 'fairlead-small-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const git = (...args: string[]): string =>
    execFileSync('git', [...IDENTITY, ...args], { cwd: root, encoding: 'utf8' });
  const write = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text, { mode });
  };
  git('init', '--quiet');
  write('node_modules/.bin/tsc', TSC, 0o755);
  write('node_modules/kept', 'a package');
  write('.gitignore', 'node_modules/\ndist/\n');
  write('package.json', '{"type":"module"}');
  write('bench/suite/child-main.ts', CHILD);
  write('bench/http/bench.ts', '');
  write('bench/pool/bench.ts', '');
  return {
    root,
    commit: (value) => {
      write('bench/suite/value.ts', `export const value = ${value};\n`);
      git('add', '--all');
      git('commit', '--quiet', '--message', `value ${value}`);
      return { name: `value-${value}`, hash: git('rev-parse', 'HEAD').trim() };
    },
    worktrees: () => git('worktree', 'list', '--porcelain').match(/^worktree .*$/gm) ?? [],
  };
}
