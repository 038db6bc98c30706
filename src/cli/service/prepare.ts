/** The steps that put a release beside those that are there, while the old one runs. Pure. Command line's process. */
import { dirname, join } from 'node:path';
import type { Layout } from './layout.js';
import { wrapperOf } from './layout.js';
import type { Source } from './source.js';
import type { Step } from './step.js';

const COPY_MS = 10 * 60_000;

export interface Prepared {
  /** The release's folder once the steps have run. */
  release: string;
  steps: Step[];
}

/**
 * A release that is there already is used as it is. `names` are the versions that are there; `node` goes into a release that brings
 * none, where the service would find none.
 */
export function prepareRelease(
  source: Source,
  layout: Layout,
  names: readonly string[],
  node: string | undefined,
): Prepared {
  const release = join(layout.releases, source.version);
  if (source.kind === 'installed' || names.includes(source.version)) return { release, steps: [] };
  const unfinished = join(layout.releases, `.${source.version}.new`);
  const title = `put the release ${source.version} into ${layout.releases}`;
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
    { title: `start the release ${source.version} to see its version`, argv: [wrapperOf(unfinished), '--version'] },
    { title, argv: ['mv', '-T', unfinished, release], undo: [{ argv: ['rm', '-rf', release] }] },
  );
  return { release, steps };
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
