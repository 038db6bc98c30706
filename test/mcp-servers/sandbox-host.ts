/** The docker thread's sandboxes as an agent thread's host, in one thread: real containers or processes, no engine around. Runs in tests. */
import { randomUUID } from 'node:crypto';
import type { Config } from '../../src/shared/config.js';
import type { Logger } from '../../src/shared/log.js';
import type { SandboxHost } from '../../workers/agent/mcp/sandbox/connection.js';
import { Archives } from '../../workers/docker/archive/archives.js';
import { DockerDriver } from '../../workers/docker/driver/docker-driver.js';
import { ProcessDriver } from '../../workers/docker/driver/process-driver.js';
import { SandboxManager } from '../../workers/docker/sandbox-manager.js';

interface Teardown {
  teardown: (fn: () => Promise<unknown>) => unknown;
  testdir: () => string;
}

export interface TestSandboxes {
  host: SandboxHost;
  sandboxes: SandboxManager;
}

export function startSandboxes(t: Teardown, config: Config, log: Logger, kind: 'docker' | 'process'): TestSandboxes {
  const instance = randomUUID();
  const driver = kind === 'docker' ? new DockerDriver(config, instance, log) : new ProcessDriver(config, instance, log);
  const archives = new Archives({ folder: t.testdir(), maxBytes: 16 * 1_048_576, timeoutMs: 20_000, log });
  const sandboxes = new SandboxManager({ config, instance, driver, archives, log });
  sandboxes.open();
  t.teardown(() => sandboxes.close());
  return {
    sandboxes,
    host: {
      lease: (request) => sandboxes.lease(request),
      exec: (request) => sandboxes.exec(request),
      hibernate: async (sandbox) => void (await sandboxes.hibernate(sandbox)),
      keep: async (sandbox) => sandboxes.keep(sandbox),
      replace: (request) => sandboxes.replace(request),
      release: (sandbox) => sandboxes.release(sandbox),
    },
  };
}
