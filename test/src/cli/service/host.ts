/** A machine's state as the plans see it, and what a release brings. */
import type { Facts } from '../../../../src/cli/service/facts.js';
import type { Brought } from '../../../../src/cli/service/plan-install.js';
import type { Source } from '../../../../src/cli/service/source.js';

export const BROUGHT: Brought = {
  unit: '[Unit]\n',
  slice: '[Slice]\n',
  environmentExample: '#FAIRLEAD_SECRET_KEYS=\nREDIS_URL=x\n',
};
export const SELF = ['node', 'cli.js'];

/** A new machine with Docker. */
export function machine(differs: Partial<Facts> = {}, texts: Partial<Facts['texts']> = {}): Facts {
  const none = {
    config: undefined,
    environment: undefined,
    adminEnvironment: undefined,
    unit: undefined,
    slice: undefined,
    portDropIn: undefined,
    redisConfig: undefined,
    redisInclude: undefined,
    caddyfile: undefined,
    site: undefined,
  };
  return {
    root: true,
    systemd: true,
    account: false,
    dockerGroup: true,
    dockerCommand: true,
    releases: [],
    current: undefined,
    origins: {},
    leftovers: [],
    pages: {},
    localMan: true,
    redis: undefined,
    keys: undefined,
    command: { kind: 'none' },
    data: false,
    instance: undefined,
    freeBytes: 1e12,
    ...differs,
    texts: { ...none, ...texts },
  };
}

export function release(version: string, differs: Partial<Source> = {}): Source {
  return {
    kind: 'tarball',
    path: `/tmp/${version}.tgz`,
    version,
    hasDependencies: true,
    hasNode: false,
    digest: `digest-${version}`,
    ...differs,
  };
}
