import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { McpPins } from '../../../src/boot/mcp-pins.js';
import { PinFile } from '../../../src/boot/pin-file.js';
import { parseConfig } from '../../../src/shared/config.js';
import type { ToolDefinition } from '../../../src/shared/tool-definition.js';
import { pinDifference, pinsOf } from '../../../src/shared/tool-pins.js';

const tool = (name: string, more: Partial<ToolDefinition> = {}): ToolDefinition => ({
  name,
  description: '',
  inputSchema: {},
  ...more,
});
const root = { user: 'root', who: { role: 'admin', groups: [], credential: 'file', address: '::1' } } as const;
const mcpServers = { docs: { image: 'x' }, other: { image: 'y' } };

t.test('a server is pinned as it is, in a file that the next start reads, and its differences are told', async (t) => {
  const dir = t.testdir();
  const config = parseConfig({ mcpServers }, {});
  let tools = [tool('look'), tool('find'), tool('__proto__')];
  let published = 0;
  const make = (): McpPins =>
    new McpPins({
      config,
      file: new PinFile(dir),
      toolsOf: async (server) => (server === 'docs' ? tools : undefined),
      isPerUser: () => false,
      publish: async () => void published++,
    });
  t.match(await make().read('docs', root), { differences: [], missing: [] });
  t.notOk('pinnedBy' in (await make().read('docs', root)));
  t.match(await make().pin('docs', root), { pinnedBy: 'file', differences: [] });
  t.equal(published, 1);
  tools = [tool('look', { description: 'other', readOnly: true }), tool('constructor'), tool('__proto__')];
  t.match(await make().read('docs', root), {
    differences: [
      { tool: 'look', state: 'changed', parts: ['description', 'hints'] },
      { tool: 'constructor', state: 'new', parts: [] },
    ],
    missing: ['find'],
  });
  t.notOk('pinnedBy' in (await make().unpin('docs', root)));
  await t.rejects(make().read('other', root), { code: 'ERR_UNAVAILABLE' });
  for (const name of ['nowhere', 'constructor']) {
    await t.rejects(make().read(name, root), { code: 'ERR_NOT_FOUND' });
    await t.rejects(make().unpin(name, root), { code: 'ERR_NOT_FOUND' });
  }
});

t.test('pins of the configuration outweigh the file, and are changed there alone', async (t) => {
  const servers = { docs: pinsOf([tool('look')]) };
  const config = parseConfig({ mcpServers, mcp: { pins: { servers } } }, {});
  const file = new PinFile(t.testdir());
  file.set('docs', pinsOf([tool('look', { description: 'of the file' })]));
  const pins = new McpPins({
    config,
    file,
    toolsOf: async () => [tool('look')],
    isPerUser: () => false,
    publish: async () => undefined,
  });
  t.match(await pins.read('docs', root), { pinnedBy: 'configuration', differences: [] });
  await t.rejects(pins.pin('docs', root), { code: 'ERR_BAD_FRAME', message: /configuration/ });
});

t.test('a file of pins that cannot be read ends the start: nobody would notice a changed tool', async (t) => {
  const dir = t.testdir();
  const path = join(dir, 'mcp-pins.json');
  new PinFile(dir).set('docs', pinsOf([tool('look')]));
  const good = readFileSync(path, 'utf8');
  for (const bad of ['', '{', '[]', 'null', good.replace('1', '2'), good.replaceAll(/[\w-]{16}\./g, 'x.')]) {
    writeFileSync(path, bad);
    t.throws(() => new PinFile(dir), { code: 'ERR_START', message: /mcp-pins\.json/ }, bad.slice(0, 20));
  }
  writeFileSync(path, good);
  t.same(new PinFile(dir).pins, { docs: pinsOf([tool('look')]) });
  rmSync(path);
  t.same(new PinFile(dir).pins, {});
});

t.test('a pin notices each part of a definition, and not the order of its keys', async (t) => {
  const before = tool('look', { inputSchema: { type: 'object', properties: { a: {}, b: {} } } });
  const pins = { docs: pinsOf([before]) };
  const partsOf = (change: Partial<ToolDefinition>): unknown => pinDifference(pins, 'docs', { ...before, ...change });
  t.equal(partsOf({ inputSchema: { properties: { b: {}, a: {} }, type: 'object' } }), undefined);
  t.match(partsOf({ title: 'x' }), { parts: ['description'] });
  t.match(partsOf({ destructive: true }), { parts: ['hints'] });
  t.match(partsOf({ inputSchema: {} }), { parts: ['arguments'] });
  t.match(partsOf({ outputSchema: {} }), { parts: ['result'] });
  t.equal(pinDifference(pins, 'other', before), undefined);
});

t.test('a pin in the configuration must be one, of a server that is there', async (t) => {
  for (const servers of [{ docs: { look: 'x' } }, { docs: null }, { nowhere: {} }]) {
    t.throws(() => parseConfig({ mcpServers, mcp: { pins: { servers } } }, {}), { code: 'ERR_CONFIG' });
  }
});

t.test('a server with a login is pinned as the one who asks has it, and told how where they have not', async (t) => {
  const file = new PinFile(t.testdir());
  const own: Record<string, ToolDefinition[]> = { root: [tool('look')] };
  const pins = new McpPins({
    config: parseConfig({ mcpServers }, {}),
    file,
    toolsOf: async (_server, { user }) => own[user],
    isPerUser: () => true,
    publish: async () => undefined,
  });
  const other = { ...root, user: 'other' };
  await t.rejects(pins.pin('docs', other), { code: 'ERR_MCP_LOGIN', message: /fairlead mcp login docs/ });
  t.same(file.pins, {});
  t.match(await pins.pin('docs', root), { pinnedBy: 'file', differences: [] });
  t.same(file.pins, { docs: pinsOf([tool('look')]) });
  t.notOk('pinnedBy' in (await pins.unpin('docs', other)), 'to take pins back nobody has to log in');
  t.same(file.pins, {});
});
