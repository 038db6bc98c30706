/** The steps that take an installation away, and nothing that is not its own. Pure. Command line's process. */
import { dirname } from 'node:path';
import { counted } from '../../shared/counted.js';
import { WORKSPACE_IMAGE } from '../../shared/docker-client.js';
import type { Facts } from './facts.js';
import { ACCOUNT, UNIT, wrapperOf, type Layout } from './layout.js';
import { unlinkPages } from './plan-pages.js';
import { keptSettings, unsetRedis } from './plan-redis.js';
import { forbidPort } from './plan-unit.js';
import { writeFile, type Step } from './step.js';
import { withoutLine } from './texts.js';

/** A stop saves workspaces and removes containers: TimeoutStopSec of the unit, and a margin. */
const STOP_MS = 4 * 60_000;
const CONTAINERS_MS = 2 * 60_000;
const KEYS_MS = 10 * 60_000;

export interface UninstallChoices {
  /** Also data, configuration and account. */
  purge: boolean;
  /** How this process is called. */
  self: readonly string[];
}

export function uninstallProblems({ root, systemd }: Facts): string[] {
  const problems: string[] = [];
  if (!root) problems.push('it needs root: put sudo in front');
  if (!systemd) problems.push('systemd does not run this machine');
  return problems;
}

/** Nothing is taken back: a step that fails ends it, and the next run goes on from there. */
export function planUninstall(facts: Facts, layout: Layout, choices: UninstallChoices): Step[] {
  const { purge } = choices;
  const steps: Step[] = [];
  if (facts.texts.unit !== undefined) {
    const title = 'stop the service: workspaces are saved, containers removed';
    steps.push({ title, argv: ['systemctl', 'disable', '--now', UNIT], timeoutMs: STOP_MS });
  }
  steps.push(
    ...sandboxes(facts),
    ...proxy(facts, layout),
    ...keys(facts, choices),
    ...unsetRedis(facts, layout),
    ...unit(facts, layout, purge),
    ...unlinkPages(facts, layout),
  );
  if (facts.command.kind === 'link' && facts.command.to === wrapperOf(layout.current)) {
    steps.push({ title: 'take fairlead off the PATH', argv: ['rm', '-f', layout.command] });
  }
  if (purge) {
    const title = 'remove data and configuration';
    steps.push({ title, argv: ['rm', '-rf', layout.data, layout.folder] });
    if (facts.account) steps.push({ title: `remove the account ${ACCOUNT}`, argv: ['userdel', ACCOUNT] });
  }
  // The last: this very process may run from there.
  if (facts.current !== undefined || facts.releases.length > 0) {
    const title = 'remove the releases';
    steps.push(
      { title, argv: ['rm', '-rf', layout.current, layout.releases] },
      // Somebody may keep more in it.
      { title, argv: ['rmdir', '--ignore-fail-on-non-empty', dirname(layout.current)] },
    );
  }
  return steps;
}

/** Of a service that was killed: a stop removes them itself. */
function sandboxes({ instance, dockerCommand }: Facts): Step[] {
  if (!dockerCommand) return [];
  const image: Step = {
    title: 'remove the image of the sandboxes',
    argv: [
      'sh',
      '-c',
      `! docker image inspect ${WORKSPACE_IMAGE} >/dev/null 2>&1 || docker image rm ${WORKSPACE_IMAGE}`,
    ],
    optional: 'another server may use it',
    timeoutMs: CONTAINERS_MS,
  };
  if (instance === undefined) return [image];
  const list = `docker ps -aq --filter label=fairlead.instance=${instance}`;
  const title = 'remove the containers of this server';
  return [
    {
      title,
      argv: ['sh', '-c', `${list} | xargs -r docker rm -f`],
      optional: 'Docker may not run: remove them later',
      timeoutMs: CONTAINERS_MS,
    },
    image,
  ];
}

function proxy({ texts }: Facts, layout: Layout): Step[] {
  if (texts.site === undefined) return [];
  const title = 'take the site off Caddy';
  const old = texts.caddyfile;
  const steps: Step[] = [];
  if (old !== undefined) {
    const line = `import ${layout.site}`;
    const change = { text: withoutLine(old, line), shown: without(line) };
    steps.push(...writeFile({ path: layout.caddyfile, ...change, mode: '0644', old, title }));
  }
  steps.push(
    { title, argv: ['rm', '-f', layout.site] },
    {
      title,
      argv: ['systemctl', 'reload-or-restart', 'caddy.service'],
      optional: 'Caddy may not run: it reads its file at its next start',
    },
  );
  return steps;
}

/** The conversations go with `--purge`, where all keys in Redis are this server's. */
function keys({ keys: found }: Facts, { purge, self }: UninstallChoices): Step[] {
  if (!purge || found === undefined || found.kept !== undefined) return [];
  return [
    {
      title: `remove the ${counted(found.count, 'key')} fairlead:* in ${found.address}: all are of this server`,
      argv: [...self, 'service', 'forget-keys'],
      optional: 'look at them, and remove them by hand',
      timeoutMs: KEYS_MS,
    },
  ];
}

/** What stays although it is this server's, or might be, each in one sentence. */
export function keptByUninstall(facts: Facts, { purge }: Pick<UninstallChoices, 'purge'>): string[] {
  const kept = keptSettings(facts);
  const { keys: found } = facts;
  if (purge && found?.kept !== undefined) kept.push(`the keys fairlead:* in ${found.address} are kept: ${found.kept}`);
  return kept;
}

function without(line: string): string {
  return `(as it is, without the line ${line})`;
}

function unit({ texts }: Facts, layout: Layout, purge: boolean): Step[] {
  // The operator's own. An uninstall before may have taken the unit alone.
  const ours = texts.portDropIn === undefined ? [] : forbidPort(layout, texts.portDropIn);
  const dropIns = purge ? [{ title: 'remove the drop-ins', argv: ['rm', '-rf', layout.dropIns] }] : ours;
  if (texts.unit === undefined && texts.slice === undefined) return dropIns;
  const title = 'remove the unit';
  return [
    { title, argv: ['rm', '-f', layout.unit, layout.slice] },
    ...dropIns,
    { title, argv: ['systemctl', 'daemon-reload'] },
    // What is left of a failed unit would still be listed.
    { title, argv: ['sh', '-c', `systemctl reset-failed ${UNIT} 2>/dev/null || true`] },
  ];
}
