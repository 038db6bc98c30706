/** The six tools as clients see them: names, schemas, annotations. Runs in the sandbox, in the server and in the runner. */
import { readFileSync } from 'node:fs';
import type { ToolAnnotations } from '@modelcontextprotocol/server';
import type { CommandResult } from './command.js';
import { inputSchema, type InputSchema, type Properties } from './arguments.js';

/** In a failed result's `_meta`: the FaultCode. */
export const FAULT_META = 'fairlead/error';
/** In a run_command result's `_meta`: a CommandMeta. */
export const COMMAND_META = 'fairlead/command';
/** Of the text of a result, for a client that says nothing of it: as much as Fairlead keeps unless it is configured otherwise. */
export const DEFAULT_RESULT_BYTES = 262_144;
const INVENTORY = '/opt/fairlead/inventory';
const MAX_INVENTORY = 2_000;
export const DEFAULT_READ_LINES = 2000;
export const DEFAULT_LISTED = 1000;
export const DEFAULT_RESULTS = 200;
export const DEFAULT_COMMAND_TIMEOUT_MS = 30_000;
export const MAX_COMMAND_TIMEOUT_MS = 600_000;

export interface CommandMeta {
  exitCode: number | null;
  exitSignal: string | null;
  endedBy: CommandResult['endedBy'];
  ms: number;
  stdoutBytes: number;
  stderrBytes: number;
  omittedBytes: number;
}

/** An entry of `tools/list`. */
export interface ListedTool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: InputSchema;
  readonly annotations: ToolAnnotations;
}

export interface Declaration<P extends Properties, R extends keyof P> {
  readonly listed: ListedTool;
  readonly properties: P;
  readonly required: readonly R[];
}

function declare<const P extends Properties, const R extends keyof P & string = never>(
  tool: Omit<ListedTool, 'inputSchema'> & { properties: P; required: readonly R[] },
): Declaration<P, R> {
  const { name, title, description, annotations, properties, required } = tool;
  const schema = inputSchema(properties, required);
  return { listed: { name, title, description, inputSchema: schema, annotations }, properties, required };
}

const READS = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false };
const WRITES = { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false };
const EDITS = { ...WRITES, idempotentHint: false };
const RUNS = { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true };

const aFile = {
  type: 'string',
  minLength: 1,
  description: 'The file, absolute below /workspace or relative to it',
} as const;
const FOLDER = 'absolute below /workspace or relative to it';
const aFolder = { type: 'string', minLength: 1, default: '.', description: `The folder, ${FOLDER}` } as const;
const aCount = { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER } as const;
const aPattern = { type: 'string', minLength: 1, maxLength: 1000 } as const;
const off = { type: 'boolean', default: false } as const;

export const READ_FILE = declare({
  name: 'read_file',
  title: 'Read a file',
  description: 'Read lines of a UTF-8 text file. A note at the end says if lines are missing, and where to continue.',
  properties: {
    path: aFile,
    offset: { ...aCount, description: 'First line to read, from 1' },
    limit: { ...aCount, description: `How many lines at most (default ${DEFAULT_READ_LINES})` },
  },
  required: ['path'],
  annotations: READS,
});

export const WRITE_FILE = declare({
  name: 'write_file',
  title: 'Write a file',
  description: 'Create a file, or replace its whole content. Missing folders are created.',
  properties: { path: aFile, content: { type: 'string', description: 'The whole new content' } },
  required: ['path', 'content'],
  annotations: WRITES,
});

export const EDIT_FILE = declare({
  name: 'edit_file',
  title: 'Edit a file',
  description:
    'Replace text in a file. old_text must match exactly, and occur exactly once unless replace_all is set. ' +
    'The file keeps its own line ends: write \\n for any of them.',
  properties: {
    path: aFile,
    old_text: { type: 'string', minLength: 1, description: 'The text to replace, exactly as it is in the file' },
    new_text: { type: 'string', description: 'What to put in its place' },
    replace_all: { ...off, description: 'Replace every occurrence' },
  },
  required: ['path', 'old_text', 'new_text'],
  annotations: EDITS,
});

export const LIST_FILES = declare({
  name: 'list_files',
  title: 'List files',
  description:
    'List a folder: names, sizes and the targets of links. Folders end in a slash. ' +
    'A name that is no plain line of text is in quotes, with escapes; give it back as it stands.',
  properties: {
    path: aFolder,
    recursive: { ...off, description: 'List all folders below, too' },
    offset: { ...aCount, default: 1, description: 'First entry to list, from 1' },
    limit: { ...aCount, maximum: 5000, default: DEFAULT_LISTED, description: 'How many entries at most' },
  },
  required: [],
  annotations: READS,
});

export const SEARCH_FILES = declare({
  name: 'search_files',
  title: 'Search files',
  description: 'Find files by name (glob), lines by content (pattern), or lines in files with a matching name (both).',
  properties: {
    path: { ...aFolder, description: `A folder or one file, ${FOLDER}` },
    glob: { ...aPattern, description: 'E.g. *.ts or src/**/*.json. A glob without a slash matches at any depth' },
    pattern: { ...aPattern, description: 'A JavaScript regular expression, matched line by line' },
    ignore_case: { ...off, description: 'For the pattern' },
    offset: { ...aCount, default: 1, description: 'First result to give, from 1' },
    limit: { ...aCount, maximum: 1000, default: DEFAULT_RESULTS, description: 'How many results at most' },
  },
  required: [],
  annotations: READS,
});

/** What the image's build has written of the programs in it; see inventory.sh. '' where it wrote nothing. */
function readInventory(): string {
  try {
    return ` ${readFileSync(INVENTORY, 'utf8').slice(0, MAX_INVENTORY).trim().replaceAll('\n', ' ')}`;
  } catch {
    return ''; // the small image has none
  }
}

export const RUN_COMMAND = declare({
  name: 'run_command',
  title: 'Run a command',
  description:
    'Run a shell command (bash if installed, else sh) without standard input. Folder, variables and aliases stay for the ' +
    'next command, in bash also functions; set options, traps and jobs do not. The result has the beginning and the end ' +
    'of a long output. At its timeout the command is killed with all that it started. ' +
    `A background process keeps running if its output is redirected.${readInventory()}`,
  properties: {
    command: { type: 'string', minLength: 1 },
    cwd: {
      type: 'string',
      minLength: 1,
      description: `Go there first: ${FOLDER} (default: where the last command ended)`,
    },
    timeout_ms: { ...aCount, maximum: MAX_COMMAND_TIMEOUT_MS, default: DEFAULT_COMMAND_TIMEOUT_MS },
  },
  required: ['command'],
  annotations: RUNS,
});

export const TOOL_LIST = [READ_FILE, WRITE_FILE, EDIT_FILE, LIST_FILES, SEARCH_FILES, RUN_COMMAND] as const;
