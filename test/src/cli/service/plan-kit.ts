/** Choices and machines for tests of planned steps. Runs in tests. */
import { layoutAt } from '../../../../src/cli/service/layout.js';
import type { Facts } from '../../../../src/cli/service/facts.js';
import type { InstallChoices } from '../../../../src/cli/service/plan-install.js';
import { planUninstall } from '../../../../src/cli/service/plan-uninstall.js';
import type { UpgradeChoices } from '../../../../src/cli/service/plan-upgrade.js';
import type { Step } from '../../../../src/cli/service/step.js';
import { BROUGHT, machine, release, SELF } from './host.js';

export const layout = layoutAt();
export const KEY = 'ab'.repeat(32);
export const admin = { user: 'ada', sha256: 'cd'.repeat(32) };

export function installation(differs: Partial<InstallChoices> = {}): InstallChoices {
  return {
    source: release('1.0.0'),
    fresh: { secretKey: KEY, admin, token: 'flt_fresh' },
    brought: BROUGHT,
    node: undefined,
    redis: false,
    domain: undefined,
    port: 3000,
    image: true,
    self: SELF,
    waitSeconds: 60,
    ...differs,
  };
}

export function upgrade(differs: Partial<UpgradeChoices> = {}): UpgradeChoices {
  const others = { brought: BROUGHT, node: undefined, image: false, self: SELF, waitSeconds: 60, wasReady: true };
  return { source: release('2.0.0'), port: 3000, ...others, ...differs };
}

export const lines = (steps: readonly Step[]): string[] => steps.map(({ argv }) => argv.join(' '));
export const undone = (steps: readonly Step[]): string[] =>
  steps.toReversed().flatMap(({ undo = [] }) => undo.map(({ argv }) => argv.join(' ')));
export const uninstall = (facts: Facts, purge: boolean): Step[] => planUninstall(facts, layout, { purge, self: SELF });
export const pagesOf = (): Facts['pages'] =>
  Object.fromEntries(layout.pages.map(({ path, to }) => [path, { kind: 'link' as const, to }]));
/** All installed, as the first installation leaves it. */
export const installed = machine(
  {
    account: true,
    releases: ['1.0.0'],
    current: '1.0.0',
    origins: { '1.0.0': 'digest-1.0.0' },
    pages: pagesOf(),
    command: { kind: 'link', to: '/opt/fairlead/current/systemd/fairlead' },
    data: true,
    instance: '0123456789abcdef',
  },
  { config: '{}', environment: '', unit: BROUGHT.unit, slice: BROUGHT.slice },
);
