/** The steps of an installation: only those that this machine still needs. Pure. Command line's process. */
import { join } from 'node:path';
import type { Facts } from './facts.js';
import { ACCOUNT, UNIT, wrapperOf, type Layout } from './layout.js';
import { buildImage, checkConfiguration, prepareRelease } from './prepare.js';
import type { Source } from './source.js';
import { linkPages } from './plan-pages.js';
import { setRedis } from './plan-redis.js';
import { writeUnit, type UnitFiles } from './plan-unit.js';
import { setLink, writeFile, type Step } from './step.js';
import { adminEnvironmentText, configText, environmentText, siteText, withLine, type Fresh } from './texts.js';

/** The files that a release brings for the system's folders. */
export interface Brought extends UnitFiles {
  environmentExample: string;
}

export interface InstallChoices {
  source: Source;
  fresh: Fresh;
  brought: Brought;
  /** A Node to put into the release; undefined where the wrapper finds one. */
  node: string | undefined;
  redis: boolean;
  domain: string | undefined;
  /** Where the server will listen; undefined = its configuration is wrong. */
  port: number | undefined;
  image: boolean;
  /** How this process is called, for the wait at the end. */
  self: readonly string[];
  waitSeconds: number;
}

export interface InstallPlan {
  /** A failure takes all of them back. */
  steps: Step[];
  /** Once the service runs: nothing is taken back when it is not ready, since it waits for its parts by itself. */
  wait: Step;
  /** The configuration is new, and with it the administrator's token. */
  madeAdmin: boolean;
}

const FRESH = '(a fresh key)';
const HOST_NAME = /^(?=.{1,253}$)[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?)*$/i;

/** Why the installation cannot be, each in one sentence; none = it can. */
export function installProblems(
  facts: Facts,
  layout: Layout,
  choices: Pick<InstallChoices, 'redis' | 'domain'>,
): string[] {
  const problems: string[] = [];
  if (!facts.root) problems.push('it needs root: put sudo in front');
  if (!facts.systemd) problems.push('systemd does not run this machine: start `fairlead serve` by what does');
  if (!facts.dockerGroup)
    problems.push('Docker is not installed (there is no group docker): apt-get install docker.io');
  if (facts.command.kind === 'file') problems.push(`${layout.command} is somebody’s own file: move it away`);
  if (choices.redis && facts.texts.redisConfig === undefined) {
    problems.push(`--redis: there is no ${layout.redisConfig}: apt-get install redis-server`);
  }
  if (choices.domain !== undefined && !HOST_NAME.test(choices.domain)) {
    problems.push(`--domain: ${choices.domain} is no host name: without scheme and port, such as ai.example.org`);
  }
  if (choices.domain !== undefined && facts.texts.caddyfile === undefined) {
    problems.push(`--domain: there is no ${layout.caddyfile}: apt-get install caddy`);
  }
  return problems;
}

export function planInstall(facts: Facts, layout: Layout, choices: InstallChoices): InstallPlan {
  const { source, self, waitSeconds } = choices;
  const prepared = prepareRelease(source, layout, facts, choices.node);
  const { port = 0 } = choices;
  const unitSteps = writeUnit(facts, layout, { ...choices.brought, port: choices.port });
  const changed = prepared.swap.length > 0 || unitSteps.length > 0;
  const release = join(layout.releases, source.version);
  const steps = [
    ...account(facts, layout),
    ...prepared.steps,
    ...(changed ? [noteUnit(facts)] : []),
    ...prepared.swap,
    ...setLink(
      layout.current,
      join('releases', source.version),
      linkOf(facts),
      `make ${source.version} the current release`,
    ),
    ...setLink(
      layout.command,
      wrapperOf(layout.current),
      facts.command.kind === 'link' ? facts.command.to : undefined,
      'put fairlead on the PATH',
    ),
    ...linkPages(facts, layout),
    ...configuration(facts, layout, choices),
    ...(choices.redis ? setRedis(facts, layout) : []),
    checkConfiguration(release, source.version),
    ...(choices.image ? [buildImage(release)] : []),
    ...unitSteps,
    // A configuration that was made anew has other tokens than the one that the service has read.
    ...start(facts, layout, changed || facts.current !== source.version || facts.texts.config === undefined),
    ...(choices.domain === undefined ? [] : proxy(facts, layout, choices.domain, port)),
  ];
  const wait = {
    title: 'wait until the service is ready',
    argv: [...self, 'service', 'status', '--wait', String(waitSeconds)],
    timeoutMs: (waitSeconds + 60) * 1_000,
  };
  return { steps, wait, madeAdmin: facts.texts.config === undefined };
}

function linkOf({ current }: Facts): string | undefined {
  return current === undefined ? undefined : join('releases', current);
}

export function account(facts: Facts, layout: Layout): Step[] {
  if (facts.account) return [];
  const argv = ['useradd', '--system', '--user-group', '--home-dir', layout.data, '--no-create-home'];
  return [
    {
      title: `make the account ${ACCOUNT}`,
      argv: [...argv, '--shell', '/usr/sbin/nologin', ACCOUNT],
      undo: [{ argv: ['userdel', ACCOUNT] }],
    },
  ];
}

/** `install -d` leaves what is there, apart from its mode and owner. A folder that is empty after all goes again. */
export function folder(path: string, mode: string, group: string, title: string): Step[] {
  const undo = [{ argv: ['rmdir', '--ignore-fail-on-non-empty', path] }];
  return [{ title, argv: ['install', '-d', '-m', mode, '-o', 'root', '-g', group, path], undo }];
}

/** What is there is kept: it is the operator's. */
function configuration(facts: Facts, layout: Layout, choices: InstallChoices): Step[] {
  const { fresh, brought, redis: withRedis, domain } = choices;
  const redisUrl = withRedis ? 'redis://127.0.0.1:6379' : '';
  const textOf = (secretKey: string): string => environmentText(brought.environmentExample, { redisUrl, secretKey });
  const steps = folder(layout.folder, '0750', ACCOUNT, 'make the folder of the configuration');
  if (facts.texts.environment === undefined) {
    steps.push(
      ...writeFile({
        path: layout.environment,
        text: textOf(fresh.secretKey),
        shown: textOf(FRESH),
        mode: '0600',
        old: undefined,
        title: 'write the environment file with a fresh key',
      }),
    );
  }
  if (facts.texts.config === undefined) {
    const schema = join(layout.current, 'fairlead.schema.json');
    steps.push(
      ...writeFile({
        path: layout.config,
        text: configText({ schema, admin: fresh.admin, ...(domain === undefined ? {} : { domain }) }),
        mode: '0640',
        group: ACCOUNT,
        old: undefined,
        title: `write the configuration with a first administrator, ${fresh.admin.user}`,
      }),
      ...writeFile({
        path: layout.adminEnvironment,
        text: adminEnvironmentText(fresh.token),
        shown: adminEnvironmentText('(the token of the administrator)'),
        mode: '0600',
        old: facts.texts.adminEnvironment,
        title: 'write that administrator’s token for root’s commands on this machine',
      }),
    );
  }
  return steps;
}

/** Before the unit's files and the release are replaced: its undo runs after theirs. */
function noteUnit(facts: Facts): Step {
  const reload = { argv: ['systemctl', 'daemon-reload'] };
  const again = { argv: ['systemctl', 'restart', UNIT] };
  const undo = facts.texts.unit === undefined ? [reload] : [reload, again];
  return { title: 'note the unit', argv: ['systemctl', 'daemon-reload'], undo };
}

function start(facts: Facts, layout: Layout, changed: boolean): Step[] {
  const title = 'start the service';
  const first = facts.texts.unit === undefined;
  const undo = [
    ...(first ? [{ argv: ['systemctl', 'disable', '--now', UNIT] }] : []),
    // systemd made it for this start.
    ...(facts.data ? [] : [{ argv: ['rm', '-rf', layout.data] }]),
  ];
  return [
    { title, argv: ['systemctl', 'daemon-reload'] },
    { title, argv: ['systemctl', 'enable', UNIT], undo },
    { title, argv: ['systemctl', changed ? 'restart' : 'start', UNIT] },
  ];
}

function proxy({ texts }: Facts, layout: Layout, domain: string, port: number): Step[] {
  const title = `let Caddy serve ${domain}`;
  const old = texts.caddyfile ?? '';
  return [
    ...writeFile({ path: layout.site, text: siteText(domain, port), mode: '0644', old: texts.site, title }),
    ...writeFile({
      path: layout.caddyfile,
      text: withLine(old, `import ${layout.site}`),
      shown: `(as it is, and at its end:)\nimport ${layout.site}`,
      mode: '0644',
      old,
      title,
    }),
    { title, argv: ['caddy', 'validate', '--config', layout.caddyfile, '--adapter', 'caddyfile'] },
    { title, argv: ['systemctl', 'reload-or-restart', 'caddy.service'] },
  ];
}
