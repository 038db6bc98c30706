/** This build's version, from package.json. Every thread. */
import { readFileSync } from 'node:fs';

// dist/src/shared/version.js → the package's root.
const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

export const VERSION = manifest.version;
