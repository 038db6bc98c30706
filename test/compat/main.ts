/** `npm run compat`: tries gateways, popular MCP servers and clients with a running Fairlead, and prints the rows of docs/compatibility.md. */
import { Command } from 'commander';
import { CLIENTS, tryClients } from './clients.js';
import { foundTable } from './found.js';
import { GATEWAYS, tryGateways } from './gateways.js';
import { tryServers } from './host.js';
import { SERVERS } from './servers.js';

const log = (line: string): void => void process.stderr.write(`${line}\n`);

const program = new Command('compat')
  .description(
    'Installs gateways, popular MCP servers and clients from npm into the cache folder of this user, and tries each with a Fairlead of its own. ' +
      'Exits with 1 when one is not as it should be. Servers run on this machine without a sandbox.',
  )
  .option('--only <word>', 'those whose name contains it')
  .action(async ({ only = '' }: { only?: string }) => {
    const servers = SERVERS.filter(({ name, package: of }) => `${name} ${of}`.includes(only));
    const clients = CLIENTS.filter(({ name }) => name.toLowerCase().includes(only.toLowerCase()));
    const gateways = GATEWAYS.filter(({ name, package: of }) =>
      `${name} ${of}`.toLowerCase().includes(only.toLowerCase()),
    );
    const between = await tryGateways(gateways, log);
    const hosted = await tryServers(servers, log);
    const connected = clients.length > 0 ? await tryClients(clients, log) : [];
    if (between.length > 0) process.stdout.write(`${foundTable(['gateway', 'tried how', 'found'], between)}\n`);
    if (hosted.length > 0) process.stdout.write(`${foundTable(['server', 'tried as', 'found'], hosted)}\n`);
    if (connected.length > 0) process.stdout.write(`\n${foundTable(['client', 'tried', 'found'], connected)}\n`);
    process.exitCode = [...between, ...hosted, ...connected].every(({ ok }) => ok) ? 0 : 1;
  });

await program.parseAsync();
