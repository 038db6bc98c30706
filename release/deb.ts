/** Makes the Debian package of a release's folder with Debian's own tools: release/debian says how. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ReleaseFolder } from './folder.js';
import { run } from './run.js';

const MAINTAINER = 'Fairlead <packages@fairlead.invalid>';
/** Places that dpkg owns; `fairlead service install` has others. */
const PLACES = [
  ['/opt/fairlead/current', '/usr/lib/fairlead'],
  ['/usr/local/bin/fairlead', '/usr/bin/fairlead'],
] as const;
const UNITS = ['fairlead.service', 'system-fairlead_sandboxes.slice'];

/** Resolves with the package's path in `out`. Needs debhelper. `seconds` is the time of its files. */
export async function makeDeb(
  root: string,
  { path, version }: ReleaseFolder,
  { work, out, seconds }: { work: string; out: string; seconds: number },
): Promise<string> {
  const source = join(work, 'deb', `fairlead-${version}`);
  await mkdir(join(work, 'deb'));
  await cp(join(root, 'release/debian'), join(source, 'debian'), { recursive: true });
  await run('cp', ['-a', path, join(source, 'release')]);
  for (const name of UNITS) {
    let text = await readFile(join(path, 'systemd', name), 'utf8');
    for (const [from, to] of PLACES) text = text.replaceAll(from, to);
    await writeFile(join(source, 'debian', name), text);
  }
  await writeFile(join(source, 'debian/changelog'), changelog(debianVersion(version), seconds));
  const env = { SOURCE_DATE_EPOCH: String(seconds), DEB_BUILD_OPTIONS: 'nocheck' };
  await run('dpkg-buildpackage', ['--build=binary', '--unsigned-source', '--unsigned-changes'], { cwd: source, env });
  const name = `fairlead_${debianVersion(version)}_${await debianArch()}.deb`;
  await cp(join(work, 'deb', name), join(out, name));
  return join(out, name);
}

/** A pre-release sorts before its release: `1.0.0-rc.1` is `1.0.0~rc.1`. */
export function debianVersion(version: string): string {
  return version.replace('-', '~');
}

export function changelog(version: string, seconds: number): string {
  const date = new Date(seconds * 1_000).toUTCString().replace('GMT', '+0000');
  return `fairlead (${version}) stable; urgency=medium\n\n  * docs/ and the CHANGELOG.md of the project say what has changed.\n\n -- ${MAINTAINER}  ${date}\n`;
}

async function debianArch(): Promise<string> {
  return (await run('dpkg', ['--print-architecture'])).trim();
}
