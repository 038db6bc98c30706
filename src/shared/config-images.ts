/** The `images` part of the configuration: images of the sandbox that a session may choose. Pure; every thread. */
import { z } from 'zod';
import { positive } from './config-fields.js';
import { isImageServer, poolKey, serversOf, type ImageServerConfig, type McpServerConfigs } from './config-mcp.js';
import { groupNames } from './config-policy.js';
import type { SandboxConfig } from './config-sandbox.js';
import { defaultMemoryMb, memoryProblem } from './sandbox-memory.js';

const same = 'absent = as in `sandbox`';

const imageSchema = z.strictObject({
  image: z.string().min(1).describe('Docker image with the workspace server, such as fairlead/workspace:full'),
  description: z.string().max(500).default('').describe('What it has, for people and for the model'),
  default: z.boolean().default(false).describe('Sessions that choose none get this one'),
  groups: groupNames.optional().describe('Only members of one of these groups may choose it; absent = everybody'),
  memoryMb: positive.optional().describe(`As sandbox.memoryMb; ${same}, or what its own folders take`),
  cpus: z.number().positive().optional().describe(same),
  pids: positive.optional().describe(same),
  workspaceMb: positive.optional().describe(same),
  tmpMb: positive.optional().describe(same),
  shmMb: positive.optional().describe(same),
  pool: z
    .strictObject({
      min: z.number().int().min(0).default(1).describe('Warm sandboxes of this image, at any time'),
      max: z.number().int().min(0).default(20).describe('Warm sandboxes of it at most, when demand is high'),
    })
    .prefault({}),
});

export const imagesSchema = z
  .record(z.string().regex(/^[a-zA-Z0-9_-]{1,32}$/, 'an image’s name is 1–32 of letters, digits, _ -'), imageSchema)
  .default({});

export type SandboxImage = z.infer<typeof imageSchema>;
export type SandboxImages = Readonly<Record<string, SandboxImage>>;

/** What a sandbox of one image may use. */
export type SandboxLimits = Pick<SandboxConfig, 'memoryMb' | 'cpus' | 'pids' | 'workspaceMb' | 'tmpMb' | 'shmMb'>;

/** An image's own limits; of a larger or smaller folder also the memory. */
export function limitsOf(image: SandboxImage, sandbox: SandboxConfig): SandboxLimits {
  const { cpus = sandbox.cpus, pids = sandbox.pids } = image;
  const folders = {
    workspaceMb: image.workspaceMb ?? sandbox.workspaceMb,
    tmpMb: image.tmpMb ?? sandbox.tmpMb,
    shmMb: image.shmMb ?? sandbox.shmMb,
  };
  const hasFolders = [image.workspaceMb, image.tmpMb, image.shmMb].some((mb) => mb !== undefined);
  const memoryMb = image.memoryMb ?? (hasFolders ? defaultMemoryMb(folders) : sandbox.memoryMb);
  return { ...folders, cpus, pids, memoryMb };
}

/** The size of the largest /workspace of all images. */
export function largestWorkspaceMb(images: SandboxImages, sandbox: SandboxConfig): number {
  return Math.max(sandbox.workspaceMb, ...Object.values(images).map(({ workspaceMb = 0 }) => workspaceMb));
}

/** The server whose image a session chooses: the first that is a session's own. */
export function serverWithImages(servers: McpServerConfigs): [string, ImageServerConfig] | undefined {
  return serversOf(servers, isImageServer).find(([, { scope }]) => scope === 'session');
}

/** The image that a session gets which chooses none; undefined: that of its server. */
export function defaultImage(images: SandboxImages): string | undefined {
  return Object.entries(images).find(([, image]) => image.default)?.[0];
}

/** Pools of one server by image have this name in figures and in the log. */
export function poolName(server: string, image: string | undefined): string {
  return image === undefined ? server : `${server}/${image}`;
}

/** Equal keys share a pool. */
export function imagePoolKey(server: ImageServerConfig, image: SandboxImage, sandbox: SandboxConfig): string {
  return JSON.stringify([poolKey({ ...server, image: image.image }), limitsOf(image, sandbox), image.pool]);
}

/** Names of images that are gone, or whose sandboxes would be made in another way. */
export function changedImages(before: SandboxImages, after: SandboxImages): string[] {
  return Object.keys(before).filter(
    (name) => !Object.hasOwn(after, name) || howMade(before[name]!) !== howMade(after[name]!),
  );
}

function howMade({ description: _1, default: _2, groups: _3, pool: _4, ...how }: SandboxImage): string {
  return JSON.stringify(how);
}

/** Problems between several fields. */
export function* imageProblems(
  images: SandboxImages,
  sandbox: SandboxConfig,
  servers: McpServerConfigs,
): Iterable<{ path: string; message: string }> {
  const names = Object.keys(images);
  if (names.length > 0 && !serverWithImages(servers)) {
    yield { path: 'images', message: 'needs an `image` server of scope session in mcpServers, whose image is chosen' };
  }
  const defaults = names.filter((name) => images[name]!.default);
  if (defaults.length > 1) yield { path: 'images', message: `has more than one default: ${defaults.join(', ')}` };
  for (const [name, image] of Object.entries(images)) {
    const { memoryMb, ...folders } = limitsOf(image, sandbox);
    const memory = memoryProblem(memoryMb, folders);
    if (memory !== undefined) yield { path: `images.${name}.memoryMb`, message: memory };
    const { min, max } = image.pool;
    if (min > max) yield { path: `images.${name}.pool.min`, message: `is ${min}, more than its pool.max ${max}` };
  }
  const own = new Set(serversOf(servers, isImageServer).map(([, server]) => poolKey(server))).size;
  const warm = own * sandbox.pool.min + names.reduce((sum, name) => sum + images[name]!.pool.min, 0);
  if (names.length > 0 && warm > sandbox.budget.containers) {
    const message = `is ${sandbox.budget.containers}, less than the ${warm} that sandbox.pool.min and the images’ pool.min keep warm`;
    yield { path: 'sandbox.budget.containers', message };
  }
}
