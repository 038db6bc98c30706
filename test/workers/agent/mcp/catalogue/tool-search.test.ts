import t from 'tap';
import type { ToolDefinition } from '../../../../../src/shared/tool-definition.js';
import { buildToolSet, type NamedTool } from '../../../../../workers/agent/mcp/catalogue/tool-names.js';
import { findTools, foundIn, foundText } from '../../../../../workers/agent/mcp/catalogue/tool-search.js';

function tool(name: string, description: string, ...parameters: string[]): ToolDefinition {
  const properties = Object.fromEntries(parameters.map((parameter) => [parameter, { type: 'string' }]));
  return { name, description, inputSchema: { type: 'object', properties } };
}

const { known } = buildToolSet({
  github: [
    tool('create_issue', 'Opens a new issue in a repository', 'title', 'body'),
    tool('listPullRequests', 'Lists pull requests'),
    tool('search_code', 'Searches code in repositories', 'query'),
  ],
  mail: [tool('send', 'Sends a message to someone', 'recipient'), tool('read', 'Reads messages')],
});
const names = (query: string, limit = 5): string[] => findTools(known, query, limit).map(({ model }) => model.name);

void t.test('tools are found by words of their names, servers, descriptions and parameters', async (t) => {
  t.equal(names('open an issue')[0], 'create_issue');
  t.equal(names('pull request')[0], 'listPullRequests');
  t.equal(names('recipient')[0], 'send');
  t.same(names('mail').sort(), ['read', 'send']);
  t.equal(names('ISSUES please create')[0], 'create_issue');
});

void t.test('the limit holds, and words that fit nothing find nothing', async (t) => {
  t.equal(names('github', 2).length, 2);
  t.same(names('zebra'), []);
  t.same(names('the of to'), []);
  t.same(names(''), []);
});

void t.test('what was found, and what was called, is read back from the transcript', async (t) => {
  const found = findTools(known, 'issue code', 5);
  const content = foundText(found).map((text) => ({ type: 'text', text }));
  const transcript = [
    { role: 'assistant' as const, content: [{ type: 'tool_use', id: 'a', name: 'search_tools', input: {} }] },
    { role: 'user' as const, content: [{ type: 'tool_result', tool_use_id: 'a', content }] },
    { role: 'assistant' as const, content: [{ type: 'tool_use', id: 'b', name: 'send', input: {} }] },
    {
      role: 'user' as const,
      content: [{ type: 'tool_result', tool_use_id: 'b', content: [{ type: 'text', text: '{"name":"read"}' }] }],
    },
  ];
  t.same(foundIn(transcript), [...found.map(({ model }) => model.name), 'send'], 'another tool’s words find nothing');
  t.same(foundIn([]), []);
});

void t.test('a long list of found tools stays whole: schemas that find no room are left out', async (t) => {
  const large: NamedTool[] = buildToolSet({
    s: Array.from({ length: 20 }, (_, index) => tool(`tool_${index}`, 'd'.repeat(4_000), 'p'.repeat(64))),
  }).known.slice();
  const texts = foundText(large);
  t.equal(texts.length, 20);
  t.ok(texts.join('').length < 60_000);
  for (const text of texts) t.match(JSON.parse(text), { name: /^tool_/ });
});
