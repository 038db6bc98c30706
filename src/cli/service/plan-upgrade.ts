/** The steps of an upgrade: prepare while the old release runs, switch, restart, wait; each takes itself back. Pure. Command line's process. */
import { join } from 'node:path';
import type { Facts } from './facts.js';
import { UNIT, type Layout } from './layout.js';
import { buildImage, checkConfiguration, prepareRelease, removeLeftovers } from './prepare.js';
import type { Brought } from './plan-install.js';
import { linkPages } from './plan-pages.js';
import { writeUnit } from './plan-unit.js';
import type { Source } from './source.js';
import { setLink, type Step } from './step.js';

/** The drain of 30 s, 140 s for workspaces and stores, 120 s for the start. */
const RESTART_MS = 6 * 60_000;

export interface UpgradeChoices {
  source: Source;
  brought: Brought;
  node: string | undefined;
  image: boolean;
  self: readonly string[];
  /** Where the server will listen; undefined = its configuration is wrong. */
  port: number | undefined;
  waitSeconds: number;
  /** It was ready before, so the new one must be; else it must run. */
  wasReady: boolean;
}

/** Why the upgrade cannot be, each in one sentence; none = it can. */
export function upgradeProblems(facts: Facts, layout: Layout, neededBytes: number): string[] {
  const problems: string[] = [];
  if (!facts.root) problems.push('it needs root: put sudo in front');
  if (!facts.systemd) problems.push('systemd does not run this machine');
  if (facts.current === undefined)
    problems.push(`there is no ${layout.current}: run \`fairlead service install\` first`);
  problems.push(...spaceProblems(facts, layout, neededBytes));
  return problems;
}

export function spaceProblems({ freeBytes }: Facts, layout: Layout, neededBytes: number): string[] {
  if (freeBytes >= neededBytes) return [];
  const [free, needed] = [freeBytes, neededBytes].map((bytes) => Math.ceil(bytes / 1e6));
  return [`${layout.releases} has ${free} MB free, and the release needs ${needed} MB`];
}

export function planUpgrade(facts: Facts, layout: Layout, choices: UpgradeChoices): Step[] {
  const { source, brought, port, self, waitSeconds, wasReady } = choices;
  const { version } = source;
  const prepared = prepareRelease(source, layout, facts, choices.node);
  const before = [...prepared.steps, checkConfiguration(prepared.release, version)];
  if (choices.image) before.push(buildImage(prepared.release));
  const old = facts.current === undefined ? undefined : join('releases', facts.current);
  const switched = [
    ...prepared.swap,
    ...setLink(layout.current, join('releases', version), old, `make ${version} the current release`),
    ...linkPages(facts, layout),
    ...writeUnit(facts, layout, { ...brought, port }),
  ];
  const wait = [...self, 'service', 'status', '--wait', String(waitSeconds)];
  return [
    ...before,
    {
      title: 'note what runs',
      argv: ['systemctl', 'show', UNIT, '--property=StatusText'],
      // The last to be taken back: by then the link and the unit are the old ones.
      undo: [{ argv: ['systemctl', 'daemon-reload'] }, { argv: ['systemctl', 'restart', UNIT] }],
    },
    ...switched,
    { title: `restart the service with ${version}`, argv: ['systemctl', 'daemon-reload'] },
    {
      title: `restart the service with ${version}`,
      argv: ['systemctl', 'restart', UNIT],
      timeoutMs: RESTART_MS,
    },
    {
      title: `wait until ${version} is ready`,
      argv: [...wait, '--release', version, ...(wasReady ? [] : ['--running'])],
      timeoutMs: (waitSeconds + 60) * 1_000,
    },
  ];
}

/** After an upgrade: all releases but the one that runs and the one before it, and what is no release. */
export function planCleanUp(facts: Facts, layout: Layout, version: string): Step[] {
  const kept = new Set([version, facts.current]);
  const old = facts.releases
    .filter((name) => !kept.has(name))
    .map((name) => ({ title: `remove the old release ${name}`, argv: ['rm', '-rf', join(layout.releases, name)] }));
  return [...old, ...removeLeftovers(facts, layout)];
}
