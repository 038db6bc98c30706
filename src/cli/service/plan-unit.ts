/** The steps that write what systemd reads: the unit, the slice, and what the unit needs for its port. Pure. Command line's process. */
import type { Facts } from './facts.js';
import type { Layout } from './layout.js';
import { writeFile, type Step } from './step.js';
import { isPrivileged, PORT_DROP_IN } from './texts.js';

export interface UnitFiles {
  unit: string;
  slice: string;
}

/** No steps where all is as it should be. */
export function writeUnit(
  facts: Facts,
  layout: Layout,
  { unit, slice, port }: UnitFiles & { port: number | undefined },
): Step[] {
  const { texts } = facts;
  return [
    ...writeFile({ path: layout.unit, text: unit, mode: '0644', old: texts.unit, title: 'write the unit' }),
    ...writeFile({ path: layout.slice, text: slice, mode: '0644', old: texts.slice, title: 'write the slice' }),
    ...allowPort(facts, layout, port),
  ];
}

/** A drop-in of ours, since the unit of a Debian package is dpkg's. `port`: undefined = not known, and all stays. */
export function allowPort({ texts }: Facts, layout: Layout, port: number | undefined): Step[] {
  if (port === undefined) return [];
  const { portDropIn: old } = texts;
  if (!isPrivileged(port)) return old === undefined ? [] : forbidPort(layout, old);
  const title = `let the service listen on port ${port}`;
  const written = writeFile({ path: layout.portDropIn, text: PORT_DROP_IN, mode: '0644', old, title });
  if (written.length === 0) return [];
  const undo = [{ argv: ['rmdir', '--ignore-fail-on-non-empty', layout.dropIns] }];
  return [{ title, argv: ['install', '-d', '-m', '0755', layout.dropIns], undo }, ...written];
}

/** `old`: what it holds, so that it can be put back. */
export function forbidPort(layout: Layout, old: string): Step[] {
  const title = 'take the privilege of ports below 1024 back';
  const back = { argv: ['install', '-D', '-m', '0644', '/dev/stdin', layout.portDropIn], input: old };
  return [
    { title, argv: ['rm', '-f', layout.portDropIn], undo: [back] },
    { title, argv: ['rmdir', '--ignore-fail-on-non-empty', layout.dropIns] },
  ];
}
