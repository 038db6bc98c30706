import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { CallToolResult } from '@modelcontextprotocol/client';
import { MAX_RESULT_META } from '../../../src/shared/mcp-meta.js';
import { boundContent } from '../../../workers/agent/mcp/calls/bound-content.js';
import type { ContentBlock } from '../../../src/shared/protocol.js';
import { blocksOf, startWorkspace, type WorkspaceClient } from './workspace-client.js';

const call = (
  ws: WorkspaceClient,
  name: string,
  args: Record<string, unknown>,
  maxBytes?: number,
): Promise<CallToolResult> =>
  ws.client.callTool({
    name,
    arguments: args,
    ...(maxBytes === undefined ? {} : { _meta: { [MAX_RESULT_META]: maxBytes } }),
  });

async function fill(ws: WorkspaceClient): Promise<void> {
  writeFileSync(join(ws.root, 'lines'), Array.from({ length: 40_000 }, (_, index) => `line ${index}`).join('\n'));
  writeFileSync(join(ws.root, 'long-line'), 'é'.repeat(1_000_000));
  const deep = join(ws.root, 'd'.repeat(200), 'e'.repeat(200), 'f'.repeat(200));
  mkdirSync(deep, { recursive: true });
  for (let index = 0; index < 2_000; index++) writeFileSync(join(deep, `${index}`), 'hit\n');
}

const CALLS: [name: string, args: Record<string, unknown>, note: RegExp][] = [
  ['read_file', { path: 'lines', limit: 40_000 }, /continue with offset \d+\]$/],
  ['read_file', { path: 'long-line' }, /too long.*tail -c/],
  ['list_files', { recursive: true, limit: 5_000 }, /of 2005 entries are shown: continue with offset \d+/],
  ['search_files', { pattern: 'hit', limit: 1_000 }, /stopped at \d+ results: continue with offset \d+/],
  ['search_files', { glob: '[0-9]*', limit: 1_000 }, /stopped at \d+ results: continue with offset \d+/],
  ['run_command', { command: 'seq 1 100000; seq 1 100000 >&2' }, /exit code 0/],
];

for (const limit of [undefined, 300_000, 20_000, 5_000]) {
  t.test(
    `with room for ${limit ?? 'what is usual'} no result is cut once more, and each says how to go on`,
    async (t) => {
      const ws = await startWorkspace(t);
      await fill(ws);
      for (const [name, args, note] of CALLS) {
        const result = await call(ws, name, args, limit);
        const maxBytes = Math.min(limit ?? 262_144, 262_144);
        const content = result.content as ContentBlock[];
        t.same(boundContent(content, { maxBytes, maxImageBytes: 0 }), content, `${name} ${JSON.stringify(args)}`);
        t.match(blocksOf(result).at(-1), note);
      }
    },
  );
}
