import t from 'tap';
import { readFile } from 'node:fs/promises';
import { configJsonSchema } from '../src/shared/config.js';
import { ERROR_TABLE } from '../src/shared/errors.js';

const read = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

t.test('docs/protocol.md has every code with its status', async (t) => {
  const doc = await read('docs/protocol.md');
  for (const [code, { status }] of Object.entries(ERROR_TABLE)) {
    t.match(doc, new RegExp(`\\| \`${code}\` +\\| ${status} `), code);
  }
});

t.test('fairlead.schema.json is what `npm run schema` makes', async (t) => {
  t.same(JSON.parse(await read('fairlead.schema.json')), JSON.parse(JSON.stringify(configJsonSchema())));
});

t.test('docs/configuration.md names every key of the file', async (t) => {
  const doc = await read('docs/configuration.md');
  const { properties } = configJsonSchema() as { properties: Record<string, { properties?: object }> };
  for (const [section, { properties: keys }] of Object.entries(properties)) {
    if (section === '$schema') continue;
    t.match(doc, `"${section}"`, section);
    for (const key of Object.keys(keys ?? {})) t.match(doc, `"${key}"`, `${section}.${key}`);
  }
});

t.test('docs/dependencies.md gives every dependency’s reason', async (t) => {
  const doc = await read('docs/dependencies.md');
  const manifest = JSON.parse(await read('package.json')) as { dependencies: Record<string, string> };
  for (const [name, version] of Object.entries(manifest.dependencies)) {
    t.match(version, /^(npm:\w+@)?\d/, `${name} is pinned`);
    t.ok(doc.includes(name.replace('@modelcontextprotocol/server', '`/server`')), name);
  }
});
