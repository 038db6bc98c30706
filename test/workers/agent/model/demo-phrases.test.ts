import t from 'tap';
import { readCall, readPhrases } from '../../../../workers/agent/model/demo-phrases.js';
import type { ModelTool } from '../../../../workers/agent/model/model.js';

const tool = (name: string, ...properties: string[]): ModelTool => ({
  name,
  description: '',
  inputSchema: { type: 'object', properties: Object.fromEntries(properties.map((key) => [key, {}])) },
});

const tools = [
  tool('edit_file', 'path', 'old_text', 'new_text'),
  tool('list_files', 'path', 'recursive'),
  tool('read_file', 'path'),
  tool('run_command', 'command', 'cwd'),
  tool('search_files', 'pattern', 'path'),
  tool('workspace__write_file', 'path', 'content'),
];

t.test('each phrase becomes its call', async (t) => {
  const phrases: [string, string, Record<string, unknown>][] = [
    ['List all files in /workspace', 'list_files', { path: '/workspace', recursive: true }],
    ['please list files', 'list_files', {}],
    ['List the files in src.', 'list_files', { path: 'src' }],
    ['write hello to a.txt', 'workspace__write_file', { content: 'hello', path: 'a.txt' }],
    [
      'Write "to be or not to be" to b/c.txt',
      'workspace__write_file',
      { content: 'to be or not to be', path: 'b/c.txt' },
    ],
    ['write one\ntwo into d.txt', 'workspace__write_file', { content: 'one\ntwo', path: 'd.txt' }],
    ['read a.txt', 'read_file', { path: 'a.txt' }],
    ['Show me the file a.txt!', 'read_file', { path: 'a.txt' }],
    ['run ls -l | wc', 'run_command', { command: 'ls -l | wc' }],
    ['run `seq 1 3`', 'run_command', { command: 'seq 1 3' }],
    ['search for f(x) in /workspace/src', 'search_files', { pattern: String.raw`f\(x\)`, path: '/workspace/src' }],
  ];
  for (const [message, name, input] of phrases) t.same(readPhrases(message, tools), [{ name, input }], message);
});

t.test('phrases joined by «and» become several calls, and an «and» inside one does not part it', async (t) => {
  t.same(readPhrases('write hello to a.txt and write bye to b.txt, and then run ls', tools), [
    { name: 'workspace__write_file', input: { content: 'hello', path: 'a.txt' } },
    { name: 'workspace__write_file', input: { content: 'bye', path: 'b.txt' } },
    { name: 'run_command', input: { command: 'ls' } },
  ]);
  t.same(readPhrases('write salt and pepper to a.txt', tools), [
    { name: 'workspace__write_file', input: { content: 'salt and pepper', path: 'a.txt' } },
  ]);
});

t.test('any tool is called by its name, with the arguments that are written', async (t) => {
  t.same(readCall('call write_file {"path": "a and run b", "more": {"x": [1]}}', tools), {
    name: 'workspace__write_file',
    input: { path: 'a and run b', more: { x: [1] } },
  });
  t.same(readCall('please call list_files', tools), { name: 'list_files', input: {} });
  t.same(readCall('call run_command {\n "command": "ls"\n}\n', tools), {
    name: 'run_command',
    input: { command: 'ls' },
  });
  for (const message of ['call me', 'I call write_file {}', 'call write_file "x"', 'call write_file [1]'])
    t.not(typeof readCall(message, tools), 'object', message);
  t.match(readCall('call erase {}', tools), /no tool erase here.*list_files, read_file/);
  t.match(readCall('call read_file {"path": }', tools), /not valid JSON: /);
});

t.test('anything else is no call, and a phrase whose tool is not offered is told apart from it', async (t) => {
  for (const message of ['', 'hello', 'how do I list files?', 'write'])
    t.same(readPhrases(message, tools), [], message);
  t.equal(readPhrases('run ls', []), undefined);
});

t.test('arguments that the tool does not have are left out', async (t) => {
  t.same(readPhrases('list all files in /workspace', [tool('list_files', 'path')]), [
    { name: 'list_files', input: { path: '/workspace' } },
  ]);
});

t.test('a message longer than any phrase is not looked at', async (t) => {
  t.same(readPhrases(`run ${' '.repeat(1_000_000)}`, tools), []);
});
