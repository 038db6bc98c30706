import t from 'tap';
import { layoutAt } from '../../../../src/cli/service/layout.js';
import { planConfigure } from '../../../../src/cli/service/plan-configure.js';
import { installProblems, planInstall, type InstallChoices } from '../../../../src/cli/service/plan-install.js';
import { planUninstall } from '../../../../src/cli/service/plan-uninstall.js';
import {
  planCleanUp,
  planUpgrade,
  upgradeProblems,
  type UpgradeChoices,
} from '../../../../src/cli/service/plan-upgrade.js';
import { shellText, type Step } from '../../../../src/cli/service/step.js';
import { configText, environmentText, withLine, withoutLine } from '../../../../src/cli/service/texts.js';
import { parseConfig } from '../../../../src/shared/config.js';
import { BROUGHT, machine, release, SELF } from './host.js';

const layout = layoutAt();
const KEY = 'ab'.repeat(32);
const admin = { user: 'ada', sha256: 'cd'.repeat(32) };

function installation(differs: Partial<InstallChoices> = {}): InstallChoices {
  return {
    source: release('1.0.0'),
    fresh: { secretKey: KEY, admin },
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

function upgrade(differs: Partial<UpgradeChoices> = {}): UpgradeChoices {
  const others = { brought: BROUGHT, node: undefined, image: false, self: SELF, waitSeconds: 60, wasReady: true };
  return { source: release('2.0.0'), ...others, ...differs };
}

const lines = (steps: readonly Step[]): string[] => steps.map(({ argv }) => argv.join(' '));
/** All installed, as the first installation leaves it. */
const installed = machine(
  {
    account: true,
    releases: ['1.0.0'],
    current: '1.0.0',
    command: { kind: 'link', to: '/opt/fairlead/current/systemd/fairlead' },
    data: true,
    instance: '0123456789abcdef',
  },
  { config: '{}', environment: '', unit: BROUGHT.unit, slice: BROUGHT.slice },
);

t.test('the commands that are printed show no key', async (t) => {
  const { steps, wait } = planInstall(machine(), layout, installation());
  const text = shellText([...steps, wait]);
  t.notMatch(text, KEY);
  t.match(text, 'FAIRLEAD_SECRET_KEYS=(a fresh key)');
  t.match(text, `install -m 0640 -o root -g fairlead /dev/stdin /etc/fairlead/fairlead.json.new <<'END'`);
  t.match(text, 'systemctl enable fairlead.service');
  t.ok(
    steps.some(({ input }) => input?.includes(`FAIRLEAD_SECRET_KEYS=${KEY}`)),
    'and the real ones have it',
  );
});

t.test('a second installation of the same release changes nothing, and keeps configuration and keys', async (t) => {
  const { steps, madeAdmin } = planInstall(installed, layout, installation({ image: false }));
  t.notOk(madeAdmin);
  t.same(
    lines(steps).filter((line) => !line.startsWith('install -d')),
    [
      '/opt/fairlead/releases/1.0.0/systemd/fairlead serve --check-config',
      'systemctl daemon-reload',
      'systemctl enable fairlead.service',
      'systemctl start fairlead.service',
    ],
  );
});

t.test('a first installation that fails leaves nothing: unit, files and account go, the service first', async (t) => {
  const { steps } = planInstall(machine(), layout, installation());
  const undone = steps.toReversed().flatMap(({ undo = [] }) => undo.map(({ argv }) => argv.join(' ')));
  t.equal(undone[0], 'systemctl disable --now fairlead.service');
  t.equal(undone.at(-1), 'userdel fairlead');
  const at = (line: string): number => undone.indexOf(line);
  t.ok(at('rm -f /etc/systemd/system/fairlead.service') < at('systemctl daemon-reload'), 'systemd forgets the unit');
  for (const path of ['/etc/fairlead/fairlead.json', '/etc/fairlead/fairlead.env', '/opt/fairlead/current']) {
    t.ok(at(`rm -f ${path}`) > 0, path);
  }
  t.ok(at('rm -rf /var/lib/fairlead') > 0, 'what systemd made for the start');
  t.ok(at('rm -rf /opt/fairlead/releases/1.0.0') > 0);
});

t.test('all reasons against an installation are told at once', async (t) => {
  const bare = machine({ root: false, systemd: false, dockerGroup: false, command: { kind: 'file' } });
  const problems = installProblems(bare, layout, { redis: true, domain: 'ai.example.org' });
  t.match(problems.join('\n'), /root.*systemd.*docker\.io.*\/usr\/local\/bin\/fairlead.*redis-server.*caddy/s);
  t.same(installProblems(machine(), layout, { redis: false, domain: undefined }), []);
});

t.test('the server takes the files that an installation writes', async (t) => {
  const env = Object.fromEntries(
    environmentText(BROUGHT.environmentExample, { secretKey: KEY, redisUrl: 'redis://127.0.0.1:6379' })
      .trim()
      .split('\n')
      .map((line) => line.split('=')),
  ) as Record<string, string>;
  const json: unknown = JSON.parse(configText({ schema: '/x', admin, domain: 'ai.example.org' }));
  const config = parseConfig(json, env);
  t.ok(JSON.stringify(config.secretKeys).length > 4, 'a key');
  t.match(config, {
    store: { redisUrl: 'redis://127.0.0.1:6379' },
    auth: { tokens: [{ ...admin, role: 'admin' }] },
    listen: { hosts: ['ai.example.org'], trustedProxies: ['127.0.0.1'] },
    sandbox: { driver: 'docker' },
  });
});

t.test('an upgrade prepares all while the old release runs, then switches and restarts', async (t) => {
  const text = lines(
    planUpgrade(installed, layout, upgrade({ brought: { ...BROUGHT, unit: '[Unit]\nX\n' }, image: true })),
  );
  const at = (part: string): number => text.findIndex((line) => line.includes(part));
  const switched = at('mv -T /opt/fairlead/current.new /opt/fairlead/current');
  for (const before of ['tar -xzf', '--version', 'serve --check-config', 'image --local']) {
    t.ok(at(before) >= 0 && at(before) < switched, before);
  }
  t.ok(switched < at('systemctl daemon-reload'));
  t.ok(at('systemctl daemon-reload') < at('systemctl restart'));
  t.match(text.at(-1), 'service status --wait 60 --release 2.0.0');
  t.notOk(
    text.some((line) => line.includes('npm install')),
    'no network',
  );
});

const brings = (hasNode: boolean): string => {
  const source = release('2.0.0', { hasNode });
  return lines(planUpgrade(installed, layout, upgrade({ source, node: '/home/ada/node' }))).join('\n');
};

t.test('a release that brings a Node keeps it: its addons were compiled for that one', async (t) => {
  t.notOk(brings(true).includes('/home/ada/node'));
  t.ok(brings(false).includes('0755 /home/ada/node /opt/fairlead/releases/.2.0.0.new/node/bin/node'));
});

t.test(
  'an upgrade that is not ready is taken back to the old link, the old unit, and only then a restart',
  async (t) => {
    const steps = planUpgrade(installed, layout, upgrade({ brought: { ...BROUGHT, unit: '[Unit]\nX\n' } }));
    const undone = steps.toReversed().flatMap(({ undo = [] }) => undo);
    const text = undone.map(({ argv }) => argv.join(' '));
    const restart = text.indexOf('systemctl restart fairlead.service');
    t.equal(text[restart - 1], 'systemctl daemon-reload');
    const unit = undone.findIndex(({ argv, input }) => argv.at(-1) === layout.unit && input === BROUGHT.unit);
    t.ok(unit >= 0 && unit < restart);
    const link = text.indexOf('ln -sfn releases/1.0.0 /opt/fairlead/current');
    t.ok(link >= 0 && link < restart);
    t.ok(text.indexOf('rm -rf /opt/fairlead/releases/2.0.0') > restart, 'the release goes last: it runs until then');
  },
);

t.test('a service that was not ready before need only run after the upgrade', async (t) => {
  t.equal(
    planUpgrade(installed, layout, upgrade({ wasReady: false }))
      .at(-1)
      ?.argv.at(-1),
    '--running',
  );
});

t.test('an upgrade without an installation or without space is refused', async (t) => {
  t.match(upgradeProblems(machine(), layout, 0), [/service install/]);
  t.match(upgradeProblems({ ...installed, freeBytes: 10e6 }, layout, 100e6), [/10 MB free.*needs 100 MB/]);
  t.same(upgradeProblems(installed, layout, 100e6), []);
});

t.test('the release that ran before is kept after an upgrade, older ones go', async (t) => {
  const facts = { ...installed, releases: ['0.9.0', '1.0.0', '2.0.0'] };
  t.same(lines(planCleanUp(facts, layout, '2.0.0')), ['rm -rf /opt/fairlead/releases/0.9.0']);
});

t.test('uninstall keeps what is the operator’s, and touches no file that it did not write', async (t) => {
  const include = 'include /etc/redis/fairlead.conf';
  const facts = machine(installed, {
    ...installed.texts,
    redisInclude: 'x',
    redisConfig: `port 1\n${include}\n# end\n`,
  });
  const steps = planUninstall(facts, layout, { purge: false });
  const text = shellText(steps);
  for (const kept of ['/var/lib/fairlead', '/etc/fairlead', 'userdel', 'fairlead.service.d', 'caddy', 'unlink']) {
    t.notMatch(text, kept);
  }
  t.ok(
    steps.some(({ input }) => input === 'port 1\n# end\n'),
    'the include alone',
  );
  t.match(text, 'label=fairlead.instance=0123456789abcdef');
  const foreign = machine({ ...installed, command: { kind: 'link', to: '/elsewhere' } }, installed.texts);
  t.notMatch(shellText(planUninstall(foreign, layout, { purge: false })), '/usr/local/bin/fairlead');
});

t.test(
  'uninstall --purge takes data, configuration, drop-ins and account; after it there is nothing to do',
  async (t) => {
    const text = shellText(planUninstall(installed, layout, { purge: true }));
    t.match(text, 'rm -rf /var/lib/fairlead /etc/fairlead');
    t.match(text, 'fairlead.service.d');
    t.match(text, 'userdel fairlead');
    const second = lines(planUninstall(machine({ dockerCommand: false }), layout, { purge: true }));
    t.same(second, ['rm -rf /etc/systemd/system/fairlead.service.d', 'rm -rf /var/lib/fairlead /etc/fairlead']);
    const rest = lines(planUninstall(machine({ dockerCommand: false }), layout, { purge: false }));
    t.same(rest, []);
  },
);

t.test('a line is added to a file once, and taken out without a trace', async (t) => {
  for (const text of ['', 'a\n', 'a']) {
    const withIt = withLine(text, 'x');
    t.equal(withLine(withIt, 'x'), withIt);
    t.equal(withoutLine(withIt, 'x').trimEnd(), text.trimEnd());
  }
});

t.test('a Debian package makes account, key and configuration without a token, and keeps what is there', async (t) => {
  const choices = { secretKey: KEY, environmentExample: BROUGHT.environmentExample, schema: '/s.json' };
  const steps = planConfigure(machine(), layout, choices);
  t.match(shellText(steps), /useradd --system.*fairlead\.env\.new.*fairlead\.json\.new/s);
  t.notMatch(shellText(steps), KEY, 'apt keeps what is printed');
  t.ok(steps.some(({ input }) => input?.includes(KEY)));
  const config = steps.find(({ input }) => input?.startsWith('{'))?.input ?? '';
  t.match(parseConfig(JSON.parse(config), {}), { auth: { mode: 'token', tokens: [] }, sandbox: { driver: 'docker' } });
  const again = planConfigure(machine({ account: true }, { environment: 'X=1\n', config: '{}' }), layout, choices);
  t.same(lines(again), ['install -d -m 0750 -o root -g fairlead /etc/fairlead']);
});
