/** The stdio MCP servers that tests run, as commands: real ones from npm, and one for each SDK. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);

export interface Program {
  command: string;
  args: string[];
}

function node(entry: string, ...args: string[]): Program {
  return { command: process.execPath, args: [entry, ...args] };
}

/** Where npm has put what a package's name says. */
function packaged(name: string, file: string): string {
  return require.resolve(`${name}/package.json`).replace(/package\.json$/, file);
}

export const ENTRIES = {
  v1: fileURLToPath(new URL('programs/sdk-v1.js', import.meta.url)),
  v2: fileURLToPath(new URL('programs/sdk-v2.js', import.meta.url)),
  everything: packaged('@modelcontextprotocol/server-everything', 'dist/index.js'),
  filesystem: packaged('@modelcontextprotocol/server-filesystem', 'dist/index.js'),
  memory: packaged('@modelcontextprotocol/server-memory', 'dist/index.js'),
};

export const sdkV1 = (): Program => node(ENTRIES.v1);
export const sdkV2 = (...args: string[]): Program => node(ENTRIES.v2, ...args);
export const everything = (): Program => node(ENTRIES.everything, 'stdio');
export const filesystem = (...folders: string[]): Program => node(ENTRIES.filesystem, ...folders);
export const memory = (): Program => node(ENTRIES.memory);
