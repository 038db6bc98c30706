/** The workspace server as two files, as the sandbox image carries it: all that a usual session runs, and the SDK. Runs in the command line's process. */
import { fileURLToPath } from 'node:url';
import type * as Esbuild from 'esbuild';
import { FairleadError } from '../../shared/errors.js';
import { messageOf } from '../report.js';

/** Beside the code that runs: dist/src/cli/image → dist/workers/workspace. */
const FOLDER = new URL('../../../workers/workspace/', import.meta.url);

/** By their names in the image's folder of them. The first is what runs; it imports the second when it needs it. */
export const ENTRY_FILE = 'workspace.cjs';
const SDK_FILE = 'newer-era.js';

export interface BundledFile {
  name: string;
  content: Buffer;
}

/**
 * Half of the SDK's file would be what this server never runs: forty translations of zod's messages, and a JSON Schema
 * validator for what only clients send. Should the SDK change these names, the file grows back; nothing breaks.
 */
const leaveOut: Esbuild.Plugin = {
  name: 'leave-out',
  setup(build) {
    build.onLoad({ filter: /[\\/]zod[\\/]v4[\\/]locales[\\/]index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
    }));
    build.onResolve({ filter: /^@modelcontextprotocol\/server\/_shims$/ }, () => ({
      path: 'shims',
      namespace: 'leave-out',
    }));
    build.onLoad({ filter: /^shims$/, namespace: 'leave-out' }, () => ({
      contents: `export { default as process } from 'node:process';
        export class DefaultJsonSchemaValidator {
          getValidator() { throw new Error('this bundle has no JSON Schema validator'); }
        }`,
    }));
  },
};

/** Rejects with ERR_START when esbuild is not installed or the server was not built. */
export async function bundleWorkspaceServer(): Promise<BundledFile[]> {
  const esbuild = await loadEsbuild();
  // Two builds, not one with shared parts: a part more is a file more to load at every start.
  const bundle = async (entry: string, name: string): Promise<BundledFile> => {
    const result = await esbuild.build({
      entryPoints: [fileURLToPath(new URL(entry, FOLDER))],
      bundle: true,
      external: [`./${SDK_FILE}`],
      minify: true,
      write: false,
      platform: 'node',
      target: 'node20',
      // Node's loader of ES modules would be a megabyte of a waiting sandbox, and 8 ms of its start.
      format: 'cjs',
      legalComments: 'none',
      plugins: [leaveOut],
      logLevel: 'silent',
    });
    const [file] = result.outputFiles;
    if (file === undefined) throw new Error('esbuild made no file');
    return { name, content: Buffer.from(file.contents) };
  };
  try {
    return await Promise.all([bundle('index.js', ENTRY_FILE), bundle('newer-era.js', SDK_FILE)]);
  } catch (error) {
    throw new FairleadError('ERR_START', `the workspace server cannot be bundled: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

async function loadEsbuild(): Promise<typeof Esbuild> {
  try {
    return await import('esbuild');
  } catch (error) {
    throw new FairleadError('ERR_START', 'the sandbox image needs esbuild to be built: npm install esbuild', {
      cause: error,
    });
  }
}
