/** `fairlead service install | status | upgrade | uninstall`. Command line's process. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FairleadError } from '../../shared/errors.js';
import { makeToken } from '../token.js';
import { execute } from './execute.js';
import { bytesNeeded, configOf, lookAt, nodeToBring, portProblem, type Facts } from './facts.js';
import { layoutAt, SLICE, UNIT } from './layout.js';
import { installProblems, planInstall, type Brought } from './plan-install.js';
import { planConfigure } from './plan-configure.js';
import { keptByUninstall, planUninstall, uninstallProblems } from './plan-uninstall.js';
import { planCleanUp, planUpgrade, spaceProblems, upgradeProblems } from './plan-upgrade.js';
import { isThere, removeLeftovers } from './prepare.js';
import { settingsOfRedis } from './redis-settings.js';
import { askState, describeState, lastLines, SHOW_STATE, waitForState } from './service-state.js';
import { fullDiskWords } from './room.js';
import { findSource, readFrom, type Source } from './source.js';
import { shellText, type Step } from './step.js';
import { lookAtKeys, removeKeys } from './store-keys.js';

/** dist/src/cli/service → the package of this process. */
const OWN_FOLDER = fileURLToPath(new URL('../../../../', import.meta.url));
/** Only one of them at a time on a machine: an abstract socket, which ends with its process. */
const LOCK = '\0fairlead-service';
const JOURNAL_LINES = 5;

/** Where the Debian package has its files: dpkg owns them and the unit. */
const PACKAGE_FOLDER = '/usr/lib/fairlead/';

export interface Shared {
  dryRun: boolean;
  write: (text: string) => void;
}

export interface InstallFlags extends Shared {
  from: string | undefined;
  admin: string;
  redis: boolean;
  domain: string | undefined;
  image: boolean;
  waitSeconds: number;
}

export interface UpgradeFlags extends Shared {
  source: string | undefined;
  image: boolean;
  waitSeconds: number;
}

export interface StatusFlags extends Shared {
  json: boolean;
  /** 0: now. */
  waitSeconds: number;
  version: string | undefined;
  running: boolean;
}

/** Resolves to the exit code. ERR_START with all reasons when it cannot be, or when it failed and was taken back. */
export async function install(flags: InstallFlags): Promise<number> {
  const layout = layoutAt();
  const source = await findSource(flags.from ?? OWN_FOLDER, layout);
  const facts = { ...lookAt(layout), redis: flags.redis ? await settingsOfRedis() : undefined };
  const problems = [...packageProblems(), ...installProblems(facts, layout, flags)];
  problems.push(...space(facts, source));
  const read = configOf(layout, facts);
  if ('problems' in read) problems.push(...read.problems.map((problem) => `the configuration is wrong: ${problem}`));
  else if (facts.systemd && !(await askState()).active) {
    const problem = await portProblem(read.config.listen);
    if (problem !== undefined) problems.push(problem);
  }
  const { token, entry } = makeToken(flags.admin);
  const plan = planInstall(facts, layout, {
    ...flags,
    source,
    fresh: { secretKey: randomBytes(32).toString('hex'), admin: entry, token },
    brought: await broughtBy(source),
    node: nodeToBring(),
    port: portOf(read),
    self: ownCommand(),
  });
  if (flags.dryRun) return printed([...plan.steps, plan.wait], problems, flags);
  refuse('installed', problems);
  return alone(async () => {
    await perform(plan.steps, flags, needed(facts, source));
    if (plan.madeAdmin)
      flags.write(`\nThe token of the administrator ${flags.admin}, shown only this once:\n\n${token}\n\n`);
    await execute([plan.wait, ...removeLeftovers(lookAt(layout), layout)], { say: sayTo(flags) });
    flags.write(`${describeState(await askState())}\n`);
    return 0;
  });
}

/** What a Debian package does in its postinst, without systemd: an image of a machine has none. */
export async function configure(flags: Shared): Promise<number> {
  const layout = layoutAt();
  const facts = lookAt(layout);
  const steps = planConfigure(facts, layout, {
    port: portOf(configOf(layout, facts)),
    secretKey: randomBytes(32).toString('hex'),
    environmentExample: readFileSync(join(OWN_FOLDER, 'systemd/fairlead.env.example'), 'utf8'),
    schema: join(OWN_FOLDER, 'fairlead.schema.json'),
  });
  const problems = facts.root ? [] : ['it needs root: put sudo in front'];
  if (flags.dryRun) return printed(steps, problems, flags);
  refuse('configured', problems);
  return alone(async () => {
    await execute(steps, { say: sayTo(flags) });
    return 0;
  });
}

export async function upgrade(flags: UpgradeFlags): Promise<number> {
  const layout = layoutAt();
  const facts = lookAt(layout);
  const own = OWN_FOLDER.startsWith(`${layout.releases}/`);
  if (flags.source === undefined && own) {
    const there = facts.releases.length === 0 ? 'none' : facts.releases.join(', ');
    throw new FairleadError('ERR_START', `name a tarball, a folder, or one of the releases that are there: ${there}`);
  }
  const source = await findSource(flags.source ?? OWN_FOLDER, layout);
  const problems = [...packageProblems(), ...upgradeProblems(facts, layout, needed(facts, source))];
  const state = facts.systemd ? await askState() : undefined;
  if (facts.current === source.version && isThere(facts, source) && state?.ready === true) {
    flags.write(`${source.version} runs already\n`);
    return 0;
  }
  const steps = planUpgrade(facts, layout, {
    ...flags,
    source,
    brought: await broughtBy(source),
    node: nodeToBring(),
    self: ownCommand(),
    port: portOf(configOf(layout, facts)),
    wasReady: state?.ready ?? true,
  });
  if (flags.dryRun) return printed(steps, problems, flags);
  refuse('upgraded', problems);
  return alone(async () => {
    await perform(steps, flags, needed(facts, source));
    const { leftovers } = lookAt(layout);
    await execute(planCleanUp({ ...facts, leftovers }, layout, source.version), { say: sayTo(flags) });
    flags.write(`${describeState(await askState())}\n`);
    return 0;
  });
}

export async function uninstall(flags: Shared & { purge: boolean }): Promise<number> {
  const layout = layoutAt();
  const facts = await withRedis(lookAt(layout), flags);
  const problems = [...packageProblems(), ...uninstallProblems(facts)];
  const steps = planUninstall(facts, layout, { ...flags, self: ownCommand() });
  const kept = keptByUninstall(facts, flags);
  if (flags.dryRun) {
    for (const words of kept) flags.write(`# ${words}\n`);
    return printed(steps, problems, flags);
  }
  refuse('removed', problems);
  return alone(async () => {
    await execute(steps, { say: sayTo(flags) });
    for (const words of kept) flags.write(`${words}\n`);
    if (!flags.purge) flags.write(`${layout.data} and ${layout.folder} are kept: --purge removes them\n`);
    return 0;
  });
}

/** What an uninstall must know of Redis. */
async function withRedis(facts: Facts, { purge }: { purge: boolean }): Promise<Facts> {
  if (!facts.root) return facts; // the environment file says where it is, and is root's
  const redis = facts.texts.redisInclude === undefined ? undefined : await settingsOfRedis();
  if (!purge) return { ...facts, redis };
  const read = configOf(layoutAt(), facts);
  if ('config' in read) return { ...facts, redis, keys: await lookAtKeys(read.config.store.redisUrl, facts.instance) };
  const kept = 'the configuration is wrong, so that it does not say where they are';
  return { ...facts, redis, keys: { address: 'Redis', count: 0, kept } };
}

/** What `uninstall --purge` runs: takes this server's keys out of Redis, once more only when all are its own. ERR_START. */
export async function forgetKeys(): Promise<number> {
  const layout = layoutAt();
  const facts = lookAt(layout);
  const read = configOf(layout, facts);
  const found = 'config' in read ? await removeKeys(read.config.store.redisUrl, facts.instance) : undefined;
  if (found?.kept === undefined) return 0;
  throw new FairleadError('ERR_START', `the keys fairlead:* in ${found.address} are kept: ${found.kept}`);
}

/** 0: as wanted. 1: it runs and is not ready. 3: it does not run (as systemctl says it). */
export async function status(flags: StatusFlags): Promise<number> {
  if (flags.dryRun) return printed([{ title: 'ask systemd', argv: SHOW_STATE }], [], flags);
  const facts = lookAt(layoutAt());
  if (!facts.systemd) throw new FairleadError('ERR_START', 'systemd does not run this machine');
  const { waitSeconds, running } = flags;
  const wanted = { timeoutMs: waitSeconds * 1_000, running, ...(flags.version ? { version: flags.version } : {}) };
  const { fits, state } = await waitForState(wanted);
  if (flags.json) {
    const { over: _over, ...shown } = state;
    flags.write(`${JSON.stringify({ ...shown, current: facts.current, releases: facts.releases }, null, 2)}\n`);
  } else {
    flags.write(`${describeState(state)}\n`);
    if (state.loaded) {
      const releases = facts.releases.map((name) => (name === facts.current ? `${name} (current)` : name));
      if (releases.length > 0) flags.write(`releases: ${releases.join(', ')}\n`); // a Debian package has none
      if (!state.enabled) flags.write('it does not start with the machine: systemctl enable fairlead\n');
    }
    if (state.loaded && !state.active) flags.write(`${await lastLines(JOURNAL_LINES)}\n`);
  }
  if (fits) return 0;
  return state.active ? 1 : 3;
}

function packageProblems(): string[] {
  if (OWN_FOLDER !== PACKAGE_FOLDER) return [];
  return ['this `fairlead` is of the Debian package: apt installs, upgrades and removes the service'];
}

function space(facts: Facts, source: Source): string[] {
  return spaceProblems(facts, layoutAt(), needed(facts, source));
}

/** Bytes of a release that is yet to be put beside the others. */
function needed(facts: Facts, source: Source): number {
  return isThere(facts, source) ? 0 : bytesNeeded(source.path);
}

/** Of the new release, which may bring another unit than this process has. A tarball's are read from it. */
async function broughtBy(source: Source): Promise<Brought> {
  return {
    unit: await readFrom(source, `systemd/${UNIT}`),
    slice: await readFrom(source, `systemd/${SLICE}`),
    environmentExample: await readFrom(source, 'systemd/fairlead.env.example'),
  };
}

function portOf(read: ReturnType<typeof configOf>): number | undefined {
  return 'config' in read ? read.config.listen.port : undefined;
}

function ownCommand(): string[] {
  return [process.execPath, join(OWN_FOLDER, 'dist/src/cli.js')];
}

function sayTo({ write }: Shared): (line: string) => void {
  return (line) => write(`${line}\n`);
}

/** The steps, with the journal's last lines when one fails: systemctl names no reason. */
async function perform(steps: readonly Step[], flags: Shared, neededBytes: number): Promise<void> {
  try {
    await execute(steps, { say: sayTo(flags) });
  } catch (error) {
    const { message } = error as Error;
    const lines = /could not (?:start|restart|wait)/.test(message) ? await lastLines(JOURNAL_LINES) : '';
    const journal = lines === '' ? '' : `\nThe journal's last lines:\n${lines}`;
    const full = fullDiskWords(message, layoutAt(), neededBytes);
    throw new FairleadError('ERR_START', `${message}${full}${journal}`, { cause: error });
  }
}

function printed(steps: readonly Step[], problems: readonly string[], { write }: Shared): number {
  for (const problem of problems) write(`# This would refuse: ${problem}\n`);
  write(shellText(steps));
  return problems.length === 0 ? 0 : 1;
}

function refuse(done: string, problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new FairleadError(
    'ERR_START',
    [`nothing was ${done}:`, ...problems.map((problem) => `  ${problem}`)].join('\n'),
  );
}

/** ERR_START when another of these commands works on this machine. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  const lock = createServer();
  await new Promise<void>((resolve, reject) => {
    lock.once('error', (cause) =>
      reject(
        new FairleadError('ERR_START', 'another `fairlead service` works on this machine: wait for it', { cause }),
      ),
    );
    lock.listen(LOCK, resolve);
  });
  try {
    return await work();
  } finally {
    lock.close();
  }
}
