/** A process of its own that holds sandboxes until it is killed: `DATA INSTANCE`. Prints the leased one's id. */
import { AdoptionWorld, count } from './adoption-fixture.js';

const [dataDir = '', instance = ''] = process.argv.slice(2);
const world = new AdoptionWorld({ teardown: () => undefined }, dataDir, instance);
const pool = world.open({ sandbox: { pool: { min: 1, max: 1 } } });
const held = await world.lease(pool, 's1');
await held.run('echo mine > file; (sleep 4711 > /dev/null 2>&1 &); echo ready');
await world.until('one is warm, beside it', () => count(pool, 'warm').then((warm) => warm === 1));
process.stdout.write(`${held.sandbox}\n`);
