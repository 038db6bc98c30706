/** The workspace server as one file, as the sandbox image carries it. Runs in the command line's process. */
import { fileURLToPath } from 'node:url';
import type * as Esbuild from 'esbuild';
import { FairleadError } from '../errors.js';

/** Beside the code that runs: dist/src/cli → dist/workers/workspace. */
const ENTRY = new URL('../../workers/workspace/index.js', import.meta.url);

/** CommonJS dependencies ask for node's own modules with require, which an ES module does not have. */
const REQUIRE =
  "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);";

/**
 * Half of the bundle would be what this server never runs, and parsing it half of the time until its first answer:
 * forty translations of zod's messages, and a JSON Schema validator for what only clients send. Should the SDK change
 * these names, the bundle grows back; nothing breaks.
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
export async function bundleWorkspaceServer(): Promise<Buffer> {
  const esbuild = await loadEsbuild();
  try {
    const result = await esbuild.build({
      entryPoints: [fileURLToPath(ENTRY)],
      bundle: true,
      minify: true,
      write: false,
      platform: 'node',
      target: 'node20',
      format: 'esm',
      legalComments: 'none',
      plugins: [leaveOut],
      banner: { js: REQUIRE },
      logLevel: 'silent',
    });
    const [file] = result.outputFiles;
    if (file === undefined) throw new Error('esbuild made no file');
    return Buffer.from(file.contents);
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
