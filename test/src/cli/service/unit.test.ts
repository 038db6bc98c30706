import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';

t.test('the unit takes from its process what the server does not need', async (t) => {
  const path = fileURLToPath(new URL('../../../../../systemd/fairlead.service', import.meta.url));
  const lines = new Set((await readFile(path, 'utf8')).split('\n'));
  for (const line of [
    'User=fairlead',
    'NoNewPrivileges=yes',
    'CapabilityBoundingSet=',
    'AmbientCapabilities=',
    'ProtectSystem=strict',
    'ProtectHome=yes',
    'PrivateTmp=yes',
    'PrivateDevices=yes',
    'ProtectProc=invisible',
    'ProtectKernelTunables=yes',
    'ProtectKernelModules=yes',
    'ProtectControlGroups=yes',
    'RestrictNamespaces=yes',
    'RestrictSUIDSGID=yes',
    'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6',
    'SystemCallFilter=@system-service',
    'SystemCallFilter=~@privileged @resources',
    'LimitCORE=0',
    'StateDirectoryMode=0700',
    'UMask=0077',
    'EnvironmentFile=/etc/fairlead/fairlead.env',
  ]) {
    t.ok(lines.has(line), line);
  }
});
