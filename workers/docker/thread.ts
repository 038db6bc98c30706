/** Composes the docker thread (driver, sandbox manager, reconciler) and serves its control port. Docker thread. */
import { join } from 'node:path';
import { largestWorkspaceMb } from '../../src/shared/config-images.js';
import { LiveSettings } from '../../src/shared/live-settings.js';
import { setLogLevel, type Logger } from '../../src/shared/log.js';
import { isLimited } from '../../src/shared/quotas.js';
import { registry } from '../../src/shared/metrics.js';
import { Channel, type PortLike } from '../../src/shared/threads/channel.js';
import { DockerDriver } from './driver/docker-driver.js';
import { Archives } from './archive/archives.js';
import { SavedSizes } from './archive/saved-sizes.js';
import { SavedIndex } from './archive/saved-index.js';
import type { SandboxDriver } from './driver/driver.js';
import type { DockerControl, DockerHost, DockerWorkerData, LeaseRequest, LeaseResult } from './contract/messages.js';
import { ProcessDriver } from './driver/process-driver.js';
import { LeaseRecords } from './lease/lease-records.js';
import { Losses } from './lease/losses.js';
import { Reconciler } from './reconciler.js';
import { SandboxManager } from './sandbox-manager.js';
import { ToolCache } from './pool/tool-cache.js';

const MIB = 1_048_576;
const ASK_AT_ONCE = 500;
const SAVE_TIMEOUT_MS = 60_000;

export interface DockerThread {
  lease(request: LeaseRequest): Promise<LeaseResult>;
}

/** Serves `control` at once, and starts by adopting the sandboxes of an earlier run of this instance. */
export function startDockerThread(data: DockerWorkerData, control: PortLike, log: Logger): DockerThread {
  const { instance } = data;
  const live = new LiveSettings(data.config);
  const config = live.view;
  const channel = new Channel<DockerControl, DockerHost>(control);
  const driver: SandboxDriver =
    data.driver === 'docker'
      ? new DockerDriver(config, instance, log, (state) => channel.notify('breaker', { state }))
      : new ProcessDriver(config, instance, log);
  const sizes = new SavedSizes({ tell: (saves) => channel.request('note-saved', { saves }), log });
  const archives = new Archives({
    folder: join(config.dataDir, 'workspaces'),
    // A tar holds sparse files in full, and its own headers.
    get maxBytes() {
      return largestWorkspaceMb(config.images, config.sandbox) * 2 * MIB;
    },
    get workspaceBytes() {
      return largestWorkspaceMb(config.images, config.sandbox) * MIB;
    },
    timeoutMs: SAVE_TIMEOUT_MS,
    onBytes: (session, server, bytes) => {
      if (isLimited(config, 'maxWorkspaceBytes')) sizes.note(session, server, bytes);
    },
    log,
  });
  live.onChange(async (next, before) => {
    setLogLevel(next.logLevel);
    const countsNow = isLimited(next, 'maxWorkspaceBytes') && !isLimited(before, 'maxWorkspaceBytes');
    if (countsNow) await archives.tellSizes();
  });
  // A process sandbox ends with its parent, so there is nothing to adopt and nothing to record.
  const records = driver.adopting && new LeaseRecords(join(config.dataDir, 'leases'), log);
  const losses = new Losses({
    folder: join(config.dataDir, 'losses'),
    tell: (loss) => channel.request('tell-loss', loss),
    log,
  });
  const toolCache = new ToolCache(join(config.dataDir, 'tools'), log);
  const sandboxes = new SandboxManager({
    config,
    instance,
    driver,
    archives,
    toolCache,
    log,
    records,
    losses,
    saved: new SavedIndex(join(config.dataDir, 'saved'), log),
    fillLater: true,
  });
  live.onChange(() => sandboxes.applyConfig());
  const reconciler = new Reconciler({
    driver,
    isKnown: (name) => sandboxes.isKnown(name),
    onRemoved: (name) => records?.remove(name),
    forgetMissing: async () => {
      const sessions = await sandboxes.sessions();
      for (let from = 0; from < sessions.length; from += ASK_AT_ONCE) {
        const asked = sessions.slice(from, from + ASK_AT_ONCE);
        const { missing } = await channel.request('missing-sessions', { sessions: asked });
        for (const session of missing) await sandboxes.releaseSession(session);
        if (missing.length > 0) log.info({ sessions: missing.length }, 'sandboxes of deleted sessions removed');
      }
    },
    log,
  });
  channel.handle(
    {
      'exec-server': async (request) => {
        await sandboxes.exec(request);
        return null;
      },
      'read-tools': async ({ server }) => {
        const { tools, resources, prompts } = await sandboxes.readTools(server);
        return { tools, resources, prompts };
      },
      'release-sandbox': async ({ sandbox }) => {
        await sandboxes.release(sandbox);
        return null;
      },
      'hibernate-sandbox': ({ sandbox }) => sandboxes.hibernate(sandbox),
      'keep-sandbox': async ({ sandbox }) => {
        sandboxes.keep(sandbox);
        return null;
      },
      'cut-loud': async ({ thread, threads }) => ({ cut: sandboxes.cutLoud(thread, threads) }),
      'replace-sandbox': (request) => sandboxes.replace(request),
      'list-sandboxes': async () => ({ sandboxes: await sandboxes.list() }),
      'export-workspaces': async ({ session, folder }) => ({ workspaces: await sandboxes.exportTo(folder, session) }),
      'release-session': async ({ session }) => ({ released: await sandboxes.releaseSession(session) }),
      'close-sandboxes': async () => {
        reconciler.close();
        sizes.close();
        const removed = await sandboxes.close();
        // A daemon that was away may still hold some: the next start should find nothing.
        const left = await reconciler.sweep().catch((error: unknown) => {
          log.warn({ err: error }, 'the containers left over could not be listed');
          return 0;
        });
        return { removed: removed + left };
      },
      'set-config': async ({ generation, config: next }) => {
        await live.set(generation, next);
        return null;
      },
      'list-files': async (request) => (await sandboxes.files.list(request)) ?? {},
      'open-file': (request) => sandboxes.files.open(request),
      'pack-files': (request) => sandboxes.packing.pack(request),
      'write-file': (request) => sandboxes.files.write(request),
      'delete-file': async (request) => {
        await sandboxes.files.delete(request);
        return null;
      },
      'move-file': async (request) => {
        await sandboxes.files.move(request);
        return null;
      },
      'collect-metrics': async () => ({ metrics: await registry.getMetricsAsJSON() }),
    },
    { 'fill-pools': () => sandboxes.fillPools() },
  );
  const open = async (): Promise<void> => {
    await archives.load();
    sandboxes.open();
    await sandboxes.adopted();
    reconciler.start();
  };
  open().catch(() => undefined); // every lease rejects with this error
  return { lease: (request) => sandboxes.lease(request) };
}
