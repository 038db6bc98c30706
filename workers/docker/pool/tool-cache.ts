/** Caches what an image's server offers, one file each, so that a restart knows it before any container runs. Docker thread. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Logger } from '../../../src/shared/log.js';
import type { ToolDefinition } from '../../../src/shared/tool-definition.js';
import { VERSION } from '../../../src/shared/version.js';

const FORMAT = 1;
const MAX_BYTES = 8 * 1_048_576;
/** Beyond it the oldest are removed, mostly those of replaced images. */
const MAX_FILES = 100;

const object = z.record(z.string(), z.unknown());

const fileShape = z.strictObject({
  format: z.literal(FORMAT),
  /** Of Fairlead: another version may keep other parts of a tool. */
  version: z.literal(VERSION),
  imageId: z.string(),
  modern: z.boolean(),
  resources: z.boolean(),
  prompts: z.boolean(),
  // Loose: this version wrote the definitions, so their other fields need no check.
  tools: z.array(z.looseObject({ name: z.string(), description: z.string(), inputSchema: object })),
});

export interface Offered {
  tools: ToolDefinition[];
  resources: boolean;
  prompts: boolean;
}

export interface KnownImage extends Offered {
  /** The server refuses `initialize`. */
  modern: boolean;
}

/** Everything that the tools may depend on. */
export interface ImageUse {
  imageId: string;
  env: Readonly<Record<string, string>>;
  capabilities: object;
}

export class ToolCache {
  readonly #folder: string;
  readonly #log: Logger;

  constructor(folder: string, log: Logger) {
    this.#folder = folder;
    this.#log = log;
  }

  /** Undefined when unknown, and for a file that is torn, foreign or of another version. */
  async read(use: ImageUse): Promise<KnownImage | undefined> {
    if (!isContentId(use.imageId)) return undefined;
    const path = this.#pathOf(use);
    try {
      if ((await stat(path)).size > MAX_BYTES) return undefined;
      const file = fileShape.parse(JSON.parse(await readFile(path, 'utf8')));
      return file.imageId === use.imageId ? knownOf(file) : undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#log.warn(
          { err: (error as Error).message.slice(0, 500) },
          'a cached list of tools cannot be used and is asked for again',
        );
      }
      return undefined;
    }
  }

  /** Never rejects: without a file the next start asks the server again. */
  async write(use: ImageUse, known: KnownImage): Promise<void> {
    if (!isContentId(use.imageId)) return;
    const path = this.#pathOf(use);
    const file = { format: FORMAT, version: VERSION, imageId: use.imageId, ...knownOf(known) };
    const json = JSON.stringify(file);
    if (json.length > MAX_BYTES) return;
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const temporary = `${path}.${randomBytes(4).toString('hex')}`; // several sandboxes may come up at the same time
      await writeFile(temporary, json, { mode: 0o600 });
      await rename(temporary, path);
      await this.#prune();
    } catch (error) {
      this.#log.warn({ err: error }, 'the tools of an image could not be cached');
    }
  }

  async #prune(): Promise<void> {
    const names = await readdir(this.#folder);
    if (names.length <= MAX_FILES) return;
    const dated = await Promise.all(
      names.map(async (name) => ({ name, at: (await stat(join(this.#folder, name))).mtimeMs })),
    );
    const old = dated.sort((a, b) => b.at - a.at).slice(MAX_FILES);
    for (const { name } of old) await rm(join(this.#folder, name), { force: true });
  }

  /** The name contains only a hash of the environment, which may hold secrets. */
  #pathOf({ imageId, env, capabilities }: ImageUse): string {
    const sorted = Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1));
    const key = createHash('sha256')
      .update(JSON.stringify([imageId, sorted, capabilities]))
      .digest('hex');
    return join(this.#folder, `${key}.json`);
  }
}

function knownOf({ tools, resources, prompts, modern }: KnownImage): KnownImage {
  return { tools, resources, prompts, modern };
}

/** Only content ids are cached: a name may mean another image tomorrow. */
function isContentId(imageId: string): boolean {
  return imageId.startsWith('sha256:');
}
