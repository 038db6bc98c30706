/** The steps that put a release beside those that are there, while the old one runs. Pure. Command line's process. */
import { dirname, join } from 'node:path';
import type { Facts } from './facts.js';
import type { Layout } from './layout.js';
import { wrapperOf } from './layout.js';
import { MANIFEST, ORIGIN, type Source } from './source.js';
import type { Step } from './step.js';

const COPY_MS = 10 * 60_000;

export interface Prepared {
  /** Where the release is once the steps have run. */
  release: string;
  steps: Step[];
  /** Puts it in the place of another release of the same version; no steps where there was none. */
  swap: Step[];
}

/** The very same release is there: made of the same tarball or folder, and whole, since it got its name last. */
export function isThere({ origins }: Pick<Facts, 'origins'>, { kind, version, digest }: Source): boolean {
  return kind === 'installed' || (digest !== '' && origins[version] === digest);
}

/**
 * The same release that is there already is looked at and used. Another one of that version is unpacked beside it. `node` goes
 * into a release that brings none, where the service would find none.
 */
export function prepareRelease(
  source: Source,
  layout: Layout,
  facts: Pick<Facts, 'releases' | 'origins'>,
  node: string | undefined,
): Prepared {
  const { version } = source;
  const release = join(layout.releases, version);
  if (isThere(facts, source)) return { release, steps: [lookAtFiles(release, version)], swap: [] };
  const unfinished = join(layout.releases, `.${version}.new`);
  const title = `put the release ${version} into ${layout.releases}`;
  const steps: Step[] = [
    {
      title,
      argv: ['install', '-d', '-m', '0755', layout.releases],
      undo: [layout.releases, dirname(layout.releases)].map((path) => ({
        argv: ['rmdir', '--ignore-fail-on-non-empty', path],
      })),
    },
    // What an installation that was killed has left.
    { title, argv: ['rm', '-rf', unfinished] },
    { title, argv: ['install', '-d', '-m', '0755', unfinished], undo: [{ argv: ['rm', '-rf', unfinished] }] },
    source.kind === 'folder'
      ? { title, argv: ['cp', '-a', '--no-preserve=ownership', `${source.path}/.`, unfinished], timeoutMs: COPY_MS }
      : {
          title,
          argv: ['tar', '-xzf', source.path, '--strip-components=1', '--no-same-owner', '-C', unfinished],
          timeoutMs: COPY_MS,
        },
    lookAtFiles(unfinished, version),
  ];
  if (!source.hasDependencies) {
    steps.push({
      title: 'fetch the packages that the release needs',
      argv: ['npm', 'install', '--omit=dev', '--no-audit', '--no-fund', '--prefix', unfinished],
      timeoutMs: COPY_MS,
    });
  }
  if (node !== undefined && !source.hasNode) {
    steps.push({
      title: 'put this Node into the release',
      argv: ['install', '-D', '-m', '0755', node, join(unfinished, 'node/bin/node')],
    });
  }
  steps.push(
    // The account of the service reads them, and changes none.
    { title, argv: ['chmod', '-R', 'u+rwX,go=rX', unfinished] },
    { title, argv: ['chmod', '0755', wrapperOf(unfinished)] },
    // Its Node, its addons' package, its own files: a release that cannot say its version does not get near the running one.
    { title: `start the release ${version} to see its version`, argv: [wrapperOf(unfinished), '--version'] },
    { title, argv: ['install', '-m', '0644', '/dev/stdin', join(unfinished, ORIGIN)], input: `${source.digest}\n` },
    // A power failure must not leave a whole name over half of the files.
    { title, argv: ['sync', '--file-system', unfinished] },
  );
  if (!facts.releases.includes(version)) {
    steps.push({ title, argv: ['mv', '-T', unfinished, release], undo: [{ argv: ['rm', '-rf', release] }] });
    return { release, steps, swap: [] };
  }
  return { release: unfinished, steps, swap: swapped(layout, version, unfinished) };
}

function swapped(layout: Layout, version: string, unfinished: string): Step[] {
  const release = join(layout.releases, version);
  const aside = join(layout.releases, `.${version}.old`);
  const back = '[ ! -e "$0" ] || mv -T "$0" "$1"';
  const title = `replace the release ${version}, which is another one of that version`;
  return [
    { title, argv: ['rm', '-rf', aside] },
    { title, argv: ['mv', '-T', release, aside], undo: [{ argv: ['sh', '-c', back, aside, release] }] },
    { title, argv: ['mv', '-T', unfinished, release], undo: [{ argv: ['rm', '-rf', release] }] },
  ];
}

/** What killed runs and replaced releases have left. */
export function removeLeftovers({ leftovers }: Pick<Facts, 'leftovers'>, layout: Layout): Step[] {
  return leftovers.map((name) => ({
    title: 'remove what earlier releases have left',
    argv: ['rm', '-rf', join(layout.releases, name)],
  }));
}

/** A release of `npm run release` has the sums of its files; one of `npm pack` has none. */
function lookAtFiles(release: string, version: string): Step {
  const check = `cd "$0" && { ! [ -e ${MANIFEST} ] || sha256sum --check --quiet --strict ${MANIFEST}; }`;
  return {
    title: `see that the release ${version} is whole`,
    argv: ['sh', '-c', check, release],
    timeoutMs: COPY_MS,
  };
}

/** The configuration as the release reads it, before anything is stopped. */
export function checkConfiguration(release: string, version: string): Step {
  return {
    title: `check the configuration with ${version}`,
    argv: [wrapperOf(release), 'serve', '--check-config'],
  };
}

/** The image of the sandboxes. It needs a registry, or this machine's own Node and busybox. */
export function buildImage(release: string): Step {
  const image = `${wrapperOf(release)} image`;
  return {
    title: 'build the image of the sandboxes',
    argv: ['sh', '-c', `${image} || ${image} --local`],
    optional: 'no sandbox starts without it: run `fairlead image`, or `fairlead image --local` where no registry is',
    timeoutMs: COPY_MS,
  };
}
