/** `fairlead image`: builds the sandbox image from its Dockerfile or from this host's programs. Command line's process. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import Docker from 'dockerode';
import { pack } from 'tar-stream';
import { SANDBOX_UID, WORKSPACE_IMAGE } from '../../shared/docker-client.js';
import { FairleadError } from '../../shared/errors.js';
import { messageOf } from '../report.js';
import { FULL_PACKAGES, importFullBase } from './full-image.js';
import { bundleWorkspaceServer, type BundledFile } from './image-bundle.js';
import { ENTRYPOINT, LABELS } from './image-layout.js';
import { packRootfs } from './image-rootfs.js';

const CONNECT_TIMEOUT_MS = 10_000;

export interface BuildImageOptions {
  tag: string;
  /** Uses this host's node and busybox instead of the Dockerfile's base: no registry is needed. */
  local: boolean;
  /** With programs for people's work: Python, git, pandoc and more. */
  full?: boolean;
  /** Of Debian's packages, for a full local one. */
  mirror?: string | undefined;
  /** Another base image for the Dockerfile. */
  base?: string;
  docker?: Docker;
  log: (line: string) => void;
}

/**
 * Without a name the full image is `fairlead/workspace:full`, and what the server uses unless it is configured otherwise. Errors as
 * `buildImage`.
 */
export async function imageCommand(
  { full = false, local = false, mirror, tag }: { full?: boolean; local?: boolean; mirror?: string; tag?: string },
  log: (line: string) => void,
): Promise<void> {
  const docker = new Docker();
  const name = tag ?? (full ? `${WORKSPACE_IMAGE}:full` : WORKSPACE_IMAGE);
  await buildImage({ tag: name, local, full, mirror, docker, log });
  if (!full || tag !== undefined) return;
  await docker.getImage(name).tag({ repo: WORKSPACE_IMAGE, tag: 'latest' });
  log(`it is ${WORKSPACE_IMAGE} now, which new sandboxes use; \`fairlead image\` makes that the small one again`);
}

/** Rejects with ERR_START when Docker does not answer, a program is missing on the host, or the build fails. */
export async function buildImage(options: BuildImageOptions): Promise<void> {
  const docker = options.docker ?? new Docker();
  await reach(docker);
  const bundle = await bundleWorkspaceServer();
  const sizes = bundle.map(({ name, content }) => `${name} ${Math.round(content.length / 1024)} KiB`);
  options.log(`workspace server bundled: ${sizes.join(', ')}`);
  try {
    if (options.full && options.local) await buildFullLocal(docker, options, bundle);
    else {
      const progress = options.local
        ? await importRootfs(docker, options.tag, bundle)
        : await buildDockerfile(docker, options, bundle);
      await follow(docker, progress, options.log);
    }
    const { Size: size } = await docker.getImage(options.tag).inspect();
    options.log(`image ${options.tag}: ${Math.round(size / 1e6)} MB`);
  } catch (error) {
    if (error instanceof FairleadError) throw error;
    const needs = options.full ? '; it needs the packages of Debian, so a network' : '';
    const advice = options.local ? '' : `${needs}; where no registry is reachable, build it with --local`;
    throw new FairleadError('ERR_START', `image ${options.tag} was not built: ${messageOf(error)}${advice}`, {
      cause: error,
    });
  }
}

async function reach(docker: Docker): Promise<void> {
  try {
    const deadline = AbortSignal.timeout(CONNECT_TIMEOUT_MS);
    await docker.listContainers({ limit: 1, abortSignal: deadline });
  } catch (error) {
    throw new FairleadError(
      'ERR_START',
      `Docker does not answer (${messageOf(error)}): start it (systemctl start docker), or set DOCKER_HOST to where it is`,
      { cause: error },
    );
  }
}

/** The base is only a name for layers of the image: it goes. */
async function buildFullLocal(
  docker: Docker,
  options: BuildImageOptions,
  bundle: readonly BundledFile[],
): Promise<void> {
  const base = `fairlead/workspace-base:${randomBytes(6).toString('hex')}`;
  await importFullBase({ docker, tag: base, mirror: options.mirror, log: options.log });
  try {
    await follow(docker, await buildDockerfile(docker, { ...options, base }, bundle), options.log);
  } finally {
    await docker
      .getImage(base)
      .remove()
      .catch((error: unknown) => options.log(`the image ${base} could not be removed: ${messageOf(error)}`));
  }
}

async function buildDockerfile(
  docker: Docker,
  options: BuildImageOptions,
  bundle: readonly BundledFile[],
): Promise<NodeJS.ReadableStream> {
  const context = pack();
  for (const name of ['Dockerfile', 'inventory.sh']) context.entry({ name }, await readSource(name));
  for (const { name, content } of bundle) context.entry({ name, mode: 0o644 }, content);
  context.finalize();
  return docker.buildImage(Readable.from(context, { objectMode: false }), {
    t: options.tag,
    labels: LABELS,
    target: options.full ? 'full' : 'small',
    buildargs: {
      ...(options.base !== undefined && { BASE: options.base }),
      ...(options.full && { PACKAGES: FULL_PACKAGES.join(' ') }),
    },
    // Of the small one no step needs a network, and of a base that has the packages neither.
    networkmode: options.full && !options.local ? 'default' : 'none',
    forcerm: true,
  });
}

async function importRootfs(
  docker: Docker,
  tag: string,
  bundle: readonly BundledFile[],
): Promise<NodeJS.ReadableStream> {
  const colon = tag.lastIndexOf(':');
  const named = colon > tag.lastIndexOf('/') ? { repo: tag.slice(0, colon), tag: tag.slice(colon + 1) } : { repo: tag };
  return docker.importImage(await packRootfs(bundle), {
    tag: 'latest',
    ...named,
    changes: [
      ...Object.entries(LABELS).map(([label, value]) => `LABEL ${label}='${value}'`),
      'ENV PATH=/usr/local/bin:/usr/bin:/bin NODE_ENV=production HOME=/workspace FAIRLEAD_WORKSPACE=/workspace',
      `USER ${SANDBOX_UID}:${SANDBOX_UID}`,
      'WORKDIR /workspace',
      `ENTRYPOINT ${JSON.stringify(ENTRYPOINT)}`,
    ],
  });
}

interface BuildEvent {
  stream?: string;
  status?: string;
  id?: string;
  progress?: string;
  error?: string;
}

/** Prints the daemon's steps, without the progress of downloads. */
async function follow(docker: Docker, stream: NodeJS.ReadableStream, log: (line: string) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(
      stream,
      (error: Error | null) => (error ? reject(error) : resolve()),
      (event: BuildEvent) => {
        if (event.error !== undefined) reject(new Error(event.error.trim()));
        if (event.progress !== undefined) return;
        const line = (event.stream ?? event.status ?? '').trimEnd();
        if (line !== '') log(event.id === undefined ? line : `${event.id}: ${line}`);
      },
    );
  });
}

/** They are in the package and not in dist, since tsc copies no such files. */
async function readSource(name: string): Promise<string> {
  const place = join('workers', 'workspace', name);
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    try {
      return await readFile(join(folder, place), 'utf8');
    } catch (error) {
      const atTop = dirname(folder) === folder;
      if (atTop) throw new FairleadError('ERR_START', `${place} is missing from this installation`, { cause: error });
    }
  }
}
