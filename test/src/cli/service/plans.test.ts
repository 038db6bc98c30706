import t from 'tap';
import { planConfigure } from '../../../../src/cli/service/plan-configure.js';
import { installProblems, planInstall } from '../../../../src/cli/service/plan-install.js';
import { planCleanUp, planUpgrade, upgradeProblems } from '../../../../src/cli/service/plan-upgrade.js';
import { shellText } from '../../../../src/cli/service/step.js';
import { configText, environmentText, withLine, withoutLine } from '../../../../src/cli/service/texts.js';
import { parseConfig } from '../../../../src/shared/config.js';
import { BROUGHT, machine, release } from './host.js';
import { admin, installation, installed, KEY, layout, lines, pagesOf, undone, uninstall, upgrade } from './plan-kit.js';

/** The step that compares the release's files with their sums. */
const looksAt = (version: string): string =>
  `sh -c cd "$0" && { ! [ -e SHA256SUMS ] || sha256sum --check --quiet --strict SHA256SUMS; } /opt/fairlead/releases/${version}`;

t.test(
  'root’s commands get the administrator’s token in a file of root’s, and a new one restarts the service',
  async (t) => {
    const { steps } = planInstall(machine(), layout, installation());
    const [written] = steps.filter(({ argv }) => argv.includes('/etc/fairlead/admin.env.new') && argv[0] === 'install');
    t.match(written, {
      argv: ['install', '-m', '0600', '-o', 'root', '-g', 'root'],
      input: /^FAIRLEAD_LOCAL_TOKEN=flt_fresh$/m,
    });
    t.notMatch(shellText(steps), 'flt_fresh');
    const lost = { ...installed, texts: { ...installed.texts, config: undefined } };
    const again = planInstall(lost, layout, installation()).steps;
    t.ok(lines(again).includes('systemctl restart fairlead.service'), 'the one that runs has the tokens of before');
    t.notMatch(lines(planInstall(installed, layout, installation()).steps).join('\n'), /admin\.env|restart fairlead/);
  },
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
      looksAt('1.0.0'),
      '/opt/fairlead/releases/1.0.0/systemd/fairlead serve --check-config',
      'systemctl daemon-reload',
      'systemctl enable fairlead.service',
      'systemctl start fairlead.service',
    ],
  );
});

t.test('a first installation that fails leaves nothing: unit, files and account go, the service first', async (t) => {
  const { steps } = planInstall(machine(), layout, installation());
  const back = undone(steps);
  t.equal(back[0], 'systemctl disable --now fairlead.service');
  t.equal(back.at(-1), 'userdel fairlead');
  const at = (line: string): number => back.indexOf(line);
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
  for (const domain of ['https://ai.example.org', 'ai.example.org:8443', 'a b;rm x', '*', '-a.b'])
    t.match(
      installProblems(machine(), layout, { redis: false, domain }).join(),
      /--domain: .* is no host name/,
      domain,
    );
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
    const commands = steps.toReversed().flatMap(({ undo = [] }) => undo);
    const text = commands.map(({ argv }) => argv.join(' '));
    const restart = text.indexOf('systemctl restart fairlead.service');
    t.equal(text[restart - 1], 'systemctl daemon-reload');
    const unit = commands.findIndex(({ argv, input }) => argv.at(-1) === layout.unit && input === BROUGHT.unit);
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
  const steps = uninstall(facts, false);
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
  t.notMatch(shellText(uninstall(foreign, false)), '/usr/local/bin/fairlead');
});

t.test(
  'uninstall --purge takes data, configuration, drop-ins and account; after it there is nothing to do',
  async (t) => {
    const text = shellText(uninstall(installed, true));
    t.match(text, 'rm -rf /var/lib/fairlead /etc/fairlead');
    t.match(text, 'fairlead.service.d');
    t.match(text, 'userdel fairlead');
    const second = lines(uninstall(machine({ dockerCommand: false }), true));
    t.same(second, ['rm -rf /etc/systemd/system/fairlead.service.d', 'rm -rf /var/lib/fairlead /etc/fairlead']);
    const rest = lines(uninstall(machine({ dockerCommand: false }), false));
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
  const choices = { secretKey: KEY, environmentExample: BROUGHT.environmentExample, schema: '/s.json', port: 3000 };
  const steps = planConfigure(machine(), layout, choices);
  t.match(shellText(steps), /useradd --system.*fairlead\.env\.new.*fairlead\.json\.new/s);
  t.notMatch(shellText(steps), KEY, 'apt keeps what is printed');
  t.ok(steps.some(({ input }) => input?.includes(KEY)));
  const config = steps.find(({ input }) => input?.startsWith('{'))?.input ?? '';
  t.match(parseConfig(JSON.parse(config), {}), { auth: { mode: 'token', tokens: [] }, sandbox: { driver: 'docker' } });
  const again = planConfigure(machine({ account: true }, { environment: 'X=1\n', config: '{}' }), layout, choices);
  t.same(lines(again), ['install -d -m 0750 -o root -g fairlead /etc/fairlead']);
});

const RELEASE = '/opt/fairlead/releases/2.0.0';
const both = { ...installed, releases: ['1.0.0', '2.0.0'] };

t.test(
  'a release of that version that was made of something else is not run: the new one takes its place',
  async (t) => {
    for (const origins of [{}, { '2.0.0': '' }, { '2.0.0': 'digest of another tarball' }]) {
      const steps = planUpgrade({ ...both, origins }, layout, upgrade());
      const text = lines(steps);
      const at = (line: string): number => text.indexOf(line);
      const checked = at('/opt/fairlead/releases/.2.0.0.new/systemd/fairlead serve --check-config');
      const aside = at(`mv -T ${RELEASE} /opt/fairlead/releases/.2.0.0.old`);
      t.ok(checked > 0 && checked < aside, 'it is tried where it was unpacked');
      t.equal(text[aside + 1], `mv -T /opt/fairlead/releases/.2.0.0.new ${RELEASE}`);
      t.ok(aside < text.findIndex((line) => line.includes('systemctl restart')));
      t.equal(steps.find(({ argv }) => argv.at(-1)?.endsWith('/.origin'))?.input, 'digest-2.0.0\n');
      const back = undone(steps);
      const restored = back.findIndex((line) => line.endsWith(`/opt/fairlead/releases/.2.0.0.old ${RELEASE}`));
      t.ok(restored > back.indexOf(`rm -rf ${RELEASE}`), 'a roll-back puts the other one back');
      t.ok(restored < back.indexOf('systemctl restart fairlead.service'), 'before the service starts again');
    }
  },
);

t.test('the same release that is there is compared with its sums, and used', async (t) => {
  const same = { ...both, origins: { '2.0.0': 'digest-2.0.0' } };
  const named = release('2.0.0', { kind: 'installed', path: RELEASE, digest: '' });
  for (const [facts, source] of [
    [same, release('2.0.0')],
    [both, named],
  ] as const) {
    const text = lines(planUpgrade(facts, layout, upgrade({ source })));
    t.same(text.slice(0, 2), [looksAt('2.0.0'), `${RELEASE}/systemd/fairlead serve --check-config`]);
    t.notOk(text.some((line) => line.includes('.new/')));
  }
});

t.test('a release is written to the disk before it gets its name, and what a killed run has left goes', async (t) => {
  const text = lines(planUpgrade(installed, layout, upgrade()));
  const named = text.indexOf(`mv -T /opt/fairlead/releases/.2.0.0.new ${RELEASE}`);
  t.equal(text[named - 1], 'sync --file-system /opt/fairlead/releases/.2.0.0.new');
  t.ok(text.indexOf('rm -rf /opt/fairlead/releases/.2.0.0.new') < text.findIndex((line) => line.startsWith('tar ')));
  const leftovers = ['.2.0.0.old', '.3.0.0.new'];
  t.same(
    lines(planCleanUp({ ...installed, leftovers }, layout, '2.0.0')),
    leftovers.map((name) => `rm -rf /opt/fairlead/releases/${name}`),
  );
});

t.test(
  'a configuration with a port below 1024 grants the unit the privilege, and another one takes it back',
  async (t) => {
    const { steps } = planInstall(installed, layout, installation({ port: 443 }));
    const granted = steps.find(({ argv }) => argv.at(-1) === `${layout.portDropIn}.new`)?.input ?? '';
    t.match(
      granted,
      /^\[Service\]\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE$/m,
    );
    const text = lines(steps);
    t.ok(
      text.indexOf(`mv -T ${layout.portDropIn}.new ${layout.portDropIn}`) < text.lastIndexOf('systemctl daemon-reload'),
    );
    t.ok(text.includes('systemctl restart fairlead.service'), 'it counts at once');
    const has = machine(installed, { ...installed.texts, portDropIn: granted });
    const again = lines(planInstall(has, layout, installation({ port: 443 })).steps);
    t.ok(again.includes('systemctl start fairlead.service'), 'nothing has changed');
    const back = lines(planInstall(has, layout, installation()).steps);
    t.ok(back.includes(`rm -f ${layout.portDropIn}`));
    t.ok(back.includes('systemctl restart fairlead.service'));
    t.ok(lines(uninstall(has, false)).includes(`rm -f ${layout.portDropIn}`));
    t.ok(
      lines(planUpgrade(installed, layout, upgrade({ port: 443 }))).some((line) => line.includes(layout.portDropIn)),
    );
    const choices = { secretKey: KEY, environmentExample: BROUGHT.environmentExample, schema: '/s.json', port: 80 };
    t.ok(lines(planConfigure(installed, layout, choices)).some((line) => line.includes(layout.portDropIn)));
  },
);

const LINKED = '/opt/fairlead/current/dist/man/fairlead.1 /usr/local/share/man/man1/fairlead.1.new';

t.test(
  'the manual page and the completion are links that an upgrade takes along, and uninstall takes away',
  async (t) => {
    const { steps } = planInstall(machine(), layout, installation());
    t.ok(lines(steps).includes(`ln -sfn ${LINKED}`));
    for (const shell of [
      'bash-completion/completions/fairlead',
      'zsh/site-functions/_fairlead',
      'fish/vendor_completions.d/fairlead.fish',
    ]) {
      t.ok(
        lines(steps).some((line) => line.endsWith(` /usr/local/share/${shell}`)),
        shell,
      );
    }
    const older = { ...installed, pages: {} };
    t.ok(lines(planUpgrade(older, layout, upgrade())).includes(`ln -sfn ${LINKED}`), 'an older installation gets them');
    const text = lines(uninstall(installed, false));
    const removed = text.find((line) => line.startsWith('rm -f') && line.includes('man1/fairlead.1')) ?? '';
    t.match(removed, 'fish/vendor_completions.d/fairlead.fish');
    t.notMatch(text.join('\n'), / \/usr\/local\/share( |$)/m, 'Debian’s own folders stay');
  },
);

t.test('a manual page or completion that is somebody’s own is left alone', async (t) => {
  const [manual, bash, ...others] = layout.pages;
  const facts = {
    ...installed,
    pages: {
      ...pagesOf(),
      [manual!.path]: { kind: 'file' as const },
      [bash!.path]: { kind: 'link' as const, to: '/elsewhere' },
    },
  };
  const made = lines(planInstall(facts, layout, installation()).steps).join('\n');
  const removed = lines(uninstall(facts, true)).find((line) => line.startsWith('rm -f /usr/local/share')) ?? '';
  for (const { path } of [manual!, bash!]) t.notMatch(`${made}${removed}`, path);
  for (const { path } of others) t.match(removed, path);
});
