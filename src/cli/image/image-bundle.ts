/** The workspace server as files of the image: made now in a checkout, read from where `npm pack` put them in a package. Command line's process. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { FairleadError } from '../../shared/errors.js';
import { ENTRY_FILE, RUNNER_FILE, SDK_FILE, TOOLS_FILE } from './image-layout.js';

export interface BundledFile {
  name: string;
  content: Buffer;
}

/** dist/image, seen from dist/src/cli/image. */
export const BUNDLE_FOLDER = new URL('../../../image/', import.meta.url);
export const BUNDLE_FILES = [ENTRY_FILE, RUNNER_FILE, SDK_FILE, TOOLS_FILE] as const;
/** A package has no sources. In a checkout dist/image may be older than what was compiled, so nobody reads it there. */
const SOURCES = new URL('../../../../src/cli.ts', import.meta.url);

/** Rejects with ERR_START when the server cannot be bundled, or the package lacks its bundle. */
export async function bundleWorkspaceServer(): Promise<BundledFile[]> {
  if (existsSync(SOURCES)) return (await import('./image-bundler.js')).makeBundle();
  return Promise.all(BUNDLE_FILES.map(readBundled));
}

async function readBundled(name: string): Promise<BundledFile> {
  try {
    return { name, content: await readFile(new URL(name, BUNDLE_FOLDER)) };
  } catch (error) {
    throw new FairleadError('ERR_START', `dist/image/${name} is missing from this installation: install it again`, {
      cause: error,
    });
  }
}
