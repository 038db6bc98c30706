/** Bundles the workspace server with esbuild, in a checkout. A package has the result (release/prepack.ts), and no esbuild. Command line's process. */
import { fileURLToPath } from 'node:url';
import type * as Esbuild from 'esbuild';
import { FairleadError } from '../../shared/errors.js';
import { messageOf } from '../report.js';
import type { BundledFile } from './image-bundle.js';
import { ENTRY_FILE, RUNNER_FILE, SDK_FILE, TOOLS_FILE } from './image-layout.js';

/** Beside the code that runs: dist/src/cli/image → dist/workers/workspace. */
const FOLDER = new URL('../../../workers/workspace/', import.meta.url);

/**
 * Leaves out half of the SDK's file, which this server never runs: forty translations of zod's messages and a JSON Schema
 * validator. When the SDK renames these modules the file grows again, and nothing breaks.
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
export async function makeBundle(): Promise<BundledFile[]> {
  const esbuild = await loadEsbuild();
  // Separate builds: a shared part would be one more file to load at every start.
  const bundle = async (entry: string, name: string): Promise<BundledFile> => {
    const result = await esbuild.build({
      entryPoints: [fileURLToPath(new URL(entry, FOLDER))],
      bundle: true,
      external: [`./${SDK_FILE}`, ...(name === ENTRY_FILE ? [`./${TOOLS_FILE}`] : [])],
      minify: true,
      write: false,
      platform: 'node',
      target: 'node20',
      // CommonJS, since Node's ES module loader costs a waiting sandbox a megabyte, and its start 8 ms.
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
    return await Promise.all([
      bundle('index.js', ENTRY_FILE),
      bundle('runner.js', RUNNER_FILE),
      bundle('newer-era.js', SDK_FILE),
      bundle('in-process.js', TOOLS_FILE),
    ]);
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
    throw new FairleadError('ERR_START', 'the sandbox image needs esbuild to be built from a checkout: npm install', {
      cause: error,
    });
  }
}
