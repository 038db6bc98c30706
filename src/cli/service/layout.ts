/** Where an installation has its files. Command line's process. */
import { join } from 'node:path';

export const ACCOUNT = 'fairlead';
export const UNIT = 'fairlead.service';
/** A dash in a slice's name is a level: this one stands beside the service, in system.slice. */
export const SLICE = 'system-fairlead_sandboxes.slice';

export interface Layout {
  /** Each release in a folder of its own, named by its version. */
  releases: string;
  /** A link to the one that runs. */
  current: string;
  /** A link to the current release's wrapper. */
  command: string;
  unit: string;
  /** The operator's own changes of the unit. */
  dropIns: string;
  slice: string;
  folder: string;
  config: string;
  environment: string;
  data: string;
  redisConfig: string;
  redisInclude: string;
  caddyfile: string;
  site: string;
}

/** `root` is a folder in place of `/`, for tests. */
export function layoutAt(root = '/'): Layout {
  const at = (path: string): string => join(root, path);
  return {
    releases: at('opt/fairlead/releases'),
    current: at('opt/fairlead/current'),
    command: at('usr/local/bin/fairlead'),
    unit: at(`etc/systemd/system/${UNIT}`),
    dropIns: at(`etc/systemd/system/${UNIT}.d`),
    slice: at(`etc/systemd/system/${SLICE}`),
    folder: at('etc/fairlead'),
    config: at('etc/fairlead/fairlead.json'),
    environment: at('etc/fairlead/fairlead.env'),
    data: at('var/lib/fairlead'),
    redisConfig: at('etc/redis/redis.conf'),
    redisInclude: at('etc/redis/fairlead.conf'),
    caddyfile: at('etc/caddy/Caddyfile'),
    site: at('etc/caddy/fairlead.caddy'),
  };
}

/** The wrapper inside a release. */
export function wrapperOf(release: string): string {
  return join(release, 'systemd', 'fairlead');
}
