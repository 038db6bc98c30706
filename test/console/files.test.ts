/** Files in the console: attached, made by a tool, looked at, taken out, thrown away. */
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { text, tool } from '../helpers/model-server.js';
import { takePictures } from './pictures.js';
import { logIn, openPage, say, startWorld, violations } from './browser.js';

t.setTimeout(900_000);

const world = await startWorld(t);
const { engine, model, browser } = world;
/** A red pixel. */
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

t.test('a file is attached, a tool reads it, and what another has written is looked at and taken out', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url);
  t.teardown(() => context.close());
  await logIn(page, engine);
  model.enqueue(tool('read_file', { path: 'in <b>.csv' }), text('I have read it.'));
  await page.getByLabel('Files to attach').setInputFiles([
    { name: 'in <b>.csv', mimeType: 'text/csv', buffer: Buffer.from('name,sum\n"Ada, L",3\n<img src=x>,4\n') },
    { name: 'red.png', mimeType: 'image/png', buffer: PNG },
  ]);
  await say(page, 'Add it up');
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('I have read it.').waitFor();
  const [sent] = model.requests.at(-1)!.body.messages;
  const said = sent!.content as Record<string, unknown>[];
  t.same(
    said.map(({ type }) => type),
    ['text', 'image', 'text'],
  );
  t.equal(said[0]!['text'], 'Add it up');
  t.match(said[2]!['text'], /attached the file "\/workspace\/in <b>\.csv"\. It has 34 bytes/);
  await page.getByText('with in <b>.csv').waitFor();
  t.match(JSON.stringify(model.requests.at(-1)!.body.messages), /Ada, L/, 'the tool has read it');

  await page.getByRole('button', { name: 'Files', exact: true }).click();
  const pane = page.getByRole('complementary', { name: 'Files' });
  await pane
    .getByRole('button', { name: /in <b>\.csv/ })
    .first()
    .click();
  await pane.getByRole('cell', { name: 'Ada, L' }).waitFor();
  await pane.getByRole('cell', { name: '<img src=x>' }).waitFor();
  t.same(await violations(page), [], 'a table');

  model.enqueue(tool('write_file', { path: 'out/sum.txt', content: 'seven\n' }), text('Done.'));
  await say(page, 'and write it down');
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('Done.').waitFor();
  await pane.getByRole('button', { name: 'out/' }).click();
  await pane
    .getByRole('button', { name: /sum\.txt/ })
    .first()
    .click();
  await pane.getByText('seven').waitFor();
  const download = page.waitForEvent('download');
  await pane.getByRole('link', { name: 'Download sum.txt' }).click();
  t.equal(await readFile(await (await download).path(), 'utf8'), 'seven\n');
  await takePictures(page, 'files');
  await page.emulateMedia({ colorScheme: 'dark' });
  t.same(await violations(page), [], 'a text, in the dark');

  await pane.getByLabel('Files to upload').setInputFiles({
    name: 'red.png',
    mimeType: 'image/png',
    buffer: PNG,
  });
  await pane
    .getByRole('button', { name: /red\.png/ })
    .first()
    .click();
  await pane.getByRole('img', { name: 'red.png' }).waitFor();
  await pane.getByRole('button', { name: 'Delete red.png' }).click();
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await pane
    .getByRole('button', { name: /red\.png/ })
    .first()
    .waitFor({ state: 'detached' });
  t.same(faults, []);
  t.same(model.violations, []);
});

t.test('on a phone the files are a page of their own', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url, { width: 375, height: 700 });
  t.teardown(() => context.close());
  await logIn(page, engine);
  model.enqueue(text('Hello.'));
  await say(page, 'hello');
  await page.getByText('Hello.', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Files', exact: true }).click();
  await page.getByText('Nothing here yet').waitFor();
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 375);
  t.same(await violations(page), []);
  await page.getByRole('button', { name: 'Close' }).click();
  await page.getByLabel('Message').waitFor();
  t.same(faults, []);
});
