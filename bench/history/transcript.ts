/** Sessions of an agent that works on code: turns as the agent thread stores them, step by step. */
import type { TranscriptMessage } from '../../workers/agent/store/store.js';
import { code, diff, numbered } from './code.js';
import { json, listing, logLines, testRun } from './output.js';
import { Project } from './project.js';
import { prose } from './prose.js';
import type { Random } from './random.js';

/** Each step is one commit of the product: the user's message, an answer, each result, the last answer. */
export type Turn = TranscriptMessage[][];

const ASKED_CHARACTERS = 160;
const SAID_CHARACTERS = 420;
const SHOWN_CHARACTERS = 1_100;
const MOST_SHOWN_CHARACTERS = 24_000;
/** Share of the turns that use tools; the others are talk. */
const WITH_TOOLS = 0.55;
const CODE_IN_ANSWER = 0.35;

type Tool = (random: Random, project: Project, characters: number) => { name: string; input: unknown; output: string };

const TOOLS: readonly Tool[] = [
  (random, project, characters) => ({
    name: 'workspace__read_file',
    input: { path: random.pickCommon(project.files) },
    output: numbered(code(random, project, characters)),
  }),
  (random, project, characters) => ({
    name: 'workspace__run_command',
    input: { command: random.pick(['npm test', 'npm run test:unit', 'node --test', 'npx tap']) },
    output: testRun(random, project, characters),
  }),
  (random, project, characters) => ({
    name: 'workspace__run_command',
    input: { command: `git diff ${random.hex(7)} -- ${random.pickCommon(project.files)}` },
    output: diff(random, project, characters),
  }),
  (random, project, characters) => ({
    name: 'workspace__run_command',
    input: { command: `tail -n ${random.int(20, 400)} /var/log/${project.noun(random)}.log` },
    output: logLines(random, project, characters),
  }),
  (random, project, characters) => ({
    name: `${project.noun(random)}__query`,
    input: { filter: { [random.pick(project.fields)]: random.hex(8) }, limit: random.int(1, 100) },
    output: json(random, project, characters),
  }),
  (random, project, characters) => ({
    name: 'workspace__list_files',
    input: { path: '/workspace', recursive: true },
    output: listing(random, project, characters / 2),
  }),
  (random, project, characters) => {
    const content = code(random, project, characters);
    const path = random.pickCommon(project.files);
    return {
      name: 'workspace__write_file',
      input: { path, content },
      output: `wrote ${content.length} bytes to ${path}`,
    };
  },
];

export function makeSession(random: Random, turns: number): Turn[] {
  const project = new Project(random.branch());
  return Array.from({ length: turns }, () => makeTurn(random, project));
}

function makeTurn(random: Random, project: Project): Turn {
  const turn: Turn = [[{ role: 'user', content: [text(prose(random, project, random.size(ASKED_CHARACTERS)))] }]];
  const rounds = random.chance(WITH_TOOLS) ? random.size(1.3, 0.6) : 0;
  for (let round = 0; round < rounds; round++) turn.push(...toolSteps(random, project));
  turn.push([{ role: 'assistant', content: [text(answer(random, project))] }]);
  return turn;
}

function toolSteps(random: Random, project: Project): Turn {
  const shown = Math.min(MOST_SHOWN_CHARACTERS, random.size(SHOWN_CHARACTERS, 1));
  const { name, input, output } = random.pick(TOOLS)(random, project, shown);
  const id = `toolu_01${random.hex(22)}`;
  const before = random.chance(0.5) ? [text(prose(random, project, 60))] : [];
  const result = { type: 'tool_result', tool_use_id: id, content: [text(output)] };
  return [
    [{ role: 'assistant', content: [...before, { type: 'tool_use', id, name, input }] }],
    [{ role: 'user', content: [result] }],
  ];
}

function answer(random: Random, project: Project): string {
  const said = prose(random, project, random.size(SAID_CHARACTERS));
  if (!random.chance(CODE_IN_ANSWER)) return said;
  return `${said}\n\n\`\`\`ts\n${code(random, project, random.size(400))}\n\`\`\``;
}

function text(value: string): { type: 'text'; text: string } {
  return { type: 'text', text: value };
}
