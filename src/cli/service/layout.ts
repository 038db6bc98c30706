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
  /** The operator's own changes of the unit, and one file of ours. */
  dropIns: string;
  /** Ours: lets the service listen on a port below 1024. */
  portDropIn: string;
  slice: string;
  folder: string;
  config: string;
  environment: string;
  /** For root's own commands on this machine: the first administrator's token. */
  adminEnvironment: string;
  data: string;
  redisConfig: string;
  redisInclude: string;
  caddyfile: string;
  site: string;
  /** Links to the current release's manual page and scripts of shells. */
  pages: readonly Page[];
  /** Of /usr/local/share: where the pages are, the deepest first. */
  pageFolders: readonly string[];
  /** Folders above them, which Debian makes itself, as it makes the link `localMan`. */
  sharedFolders: readonly string[];
  localMan: string;
}

export interface Page {
  path: string;
  to: string;
}

/** `root` is a folder in place of `/`, for tests. */
export function layoutAt(root = '/'): Layout {
  const at = (path: string): string => join(root, path);
  const share = (path: string): string => join(root, 'usr/local/share', path);
  const dropIns = at(`etc/systemd/system/${UNIT}.d`);
  const page = (path: string, from: string): Page => ({
    path: share(path),
    to: join(at('opt/fairlead/current/dist'), from),
  });
  return {
    releases: at('opt/fairlead/releases'),
    current: at('opt/fairlead/current'),
    command: at('usr/local/bin/fairlead'),
    unit: at(`etc/systemd/system/${UNIT}`),
    dropIns,
    portDropIn: join(dropIns, 'fairlead-port.conf'),
    slice: at(`etc/systemd/system/${SLICE}`),
    folder: at('etc/fairlead'),
    config: at('etc/fairlead/fairlead.json'),
    environment: at('etc/fairlead/fairlead.env'),
    adminEnvironment: at('etc/fairlead/admin.env'),
    data: at('var/lib/fairlead'),
    redisConfig: at('etc/redis/redis.conf'),
    redisInclude: at('etc/redis/fairlead.conf'),
    caddyfile: at('etc/caddy/Caddyfile'),
    site: at('etc/caddy/fairlead.caddy'),
    pages: [
      page('man/man1/fairlead.1', 'man/fairlead.1'),
      page('bash-completion/completions/fairlead', 'completion/fairlead.bash'),
      page('zsh/site-functions/_fairlead', 'completion/_fairlead'),
      page('fish/vendor_completions.d/fairlead.fish', 'completion/fairlead.fish'),
    ],
    pageFolders: [
      'man/man1',
      'bash-completion/completions',
      'bash-completion',
      'zsh/site-functions',
      'zsh',
      'fish/vendor_completions.d',
      'fish',
    ].map(share),
    sharedFolders: [share('man'), share('')].map((path) => path.replace(/\/$/, '')),
    localMan: at('usr/local/man'),
  };
}

/** The wrapper inside a release. */
export function wrapperOf(release: string): string {
  return join(release, 'systemd', 'fairlead');
}
