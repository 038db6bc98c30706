import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { deferred } from '../helpers/processes.js';
import { text, tool } from '../helpers/model-server.js';
import { until } from '../helpers/until.js';
import { logIn, openPage, say, startWorld, violations, WAIT_MS } from './browser.js';
import { startCutter } from './cutter.js';
import { takePictures } from './pictures.js';

t.setTimeout(1_200_000);

const DIST = fileURLToPath(new URL('../../console/', import.meta.url));
const FIRST_LOAD_BYTES = 250 * 1024;

// Chromium takes every name below localhost for this machine.
const world = await startWorld(t, { hosts: ['app.localhost'] });
const { engine, model, browser } = world;

t.test('what a first visit loads is small', async (t) => {
  const page = await readFile(join(DIST, 'index.html'), 'utf8');
  const named = [...page.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map(([, path]) => path!);
  const files = ['index.html', ...named];
  const sizes = await Promise.all(files.map(async (file) => (await readFile(join(DIST, `${file}.gz`))).length));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  t.comment(`${bytes} bytes in ${files.length} files, gzip`);
  t.ok(bytes <= FIRST_LOAD_BYTES, String(bytes));
  t.notMatch(
    page,
    /<script(?![^>]* src=)[^>]*>|<style|javascript:|https?:\/\//,
    'no inline script or style, no other server',
  );
  const left = (await readdir(join(DIST, 'assets'))).filter((name) => /\.(?:js|css)$/.test(name));
  t.ok(left.length >= 2);
});

t.test('somebody logs in, is asked before a tool runs, says yes, then no with a reason', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url);
  t.teardown(() => context.close());
  await page.goto(engine.url);
  t.same(await violations(page), [], 'the log-in');
  await takePictures(page, 'log-in');
  await page.getByLabel('Token').fill('flt_wrong');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByText('This token is not valid').waitFor();
  await logIn(page, engine);
  t.equal(await page.evaluate('document.cookie'), '', 'no script reads the cookie');
  t.same(await violations(page), [], 'an empty start');
  await takePictures(page, 'start');

  model.enqueue(tool('write_file', { path: 'notes.txt', content: 'hello' }), text('It is **written**.'));
  await say(page, 'Write hello to notes.txt');
  const card = page.getByRole('region', { name: 'write_file: waits for you' });
  await card.waitFor();
  t.match(await card.textContent(), /notes\.txt.*hello/s, 'the arguments are whole');
  await page.getByText('live').waitFor();
  t.same(await violations(page), [], 'a call that waits');
  await takePictures(page, 'approval');
  await page.waitForFunction("document.title.startsWith('(1) ')");
  await card.getByRole('button', { name: 'Approve' }).click();
  await page.locator('strong', { hasText: 'written' }).waitFor();
  await page.getByRole('region', { name: 'write_file: done' }).waitFor();

  model.enqueue(tool('run_command', { command: 'rm -rf /' }), text('I leave it.'));
  await say(page, 'and now?');
  const second = page.getByRole('region', { name: 'run_command: waits for you' });
  await second.getByRole('button', { name: 'Deny' }).click();
  await page.getByLabel('Why not?').fill('Far too much.');
  await second.getByRole('button', { name: 'Deny it' }).click();
  await page.getByText('I leave it.').waitFor();
  const told = JSON.stringify(model.requests.at(-1)!.body.messages);
  t.match(told, /Far too much\./, 'the model is told why');
  t.same(await violations(page), [], 'a conversation');
  await page.emulateMedia({ colorScheme: 'dark' });
  t.same(await violations(page), [], 'in the dark');

  model.enqueue(tool('list_files', { path: '/workspace' }), tool('list_files', { path: '/workspace' }), text('Twice.'));
  await say(page, 'list twice');
  const third = page.getByRole('region', { name: 'list_files: waits for you' });
  await third.getByLabel('this tool for the whole session').check();
  await third.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('Twice.').waitFor();
  t.same(faults, []);
  t.same(model.violations, []);
});

t.test('the link of the terminal opens the console logged in, once, and leaves no code in the address', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url);
  t.teardown(() => context.close());
  await page.goto(`${engine.url}/#once=not-a-code`);
  await page.getByText('this link was used already').waitFor();
  t.equal(page.url(), `${engine.url}/`);
  t.same(faults, []);
});

t.test('both interfaces can be read as a page, without logging in', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url, { width: 375 });
  t.teardown(() => context.close());
  await page.goto(`${engine.url}/docs#sessions`);
  await page.getByRole('heading', { name: 'HTTP: Sessions' }).waitFor();
  const entry = page.locator('details', { hasText: 'POST /v1/sessions/{session}/messages' });
  await entry.locator('summary').click();
  t.match(await entry.textContent(), /text\/event-stream/);
  await page.locator('details', { hasText: 'tool:approval_required' }).locator('summary').click();
  await page.getByText('What differs from the definition that the user saw last').first().waitFor();
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 375, 'nothing stands out at the side');
  t.same(await violations(page), []);
  await page.emulateMedia({ colorScheme: 'dark' });
  t.same(await violations(page), []);
  t.same(faults, []);
});

function lines(name: string): string {
  return `${Array.from({ length: 120 }, (_, line) => `${name} ${line}`).join('\n\n')}\n\nend ${name}`;
}

t.test('the view follows what comes, however fast, until somebody scrolls up', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url);
  t.teardown(() => context.close());
  await logIn(page, engine);
  const isInView = async (words: string): Promise<boolean> => {
    const box = await page.getByText(words, { exact: true }).boundingBox();
    return box !== null && box.y >= 0 && box.y + box.height <= 800;
  };
  for (const name of ['one', 'two', 'three']) {
    model.enqueue(text(lines(name)));
    await say(page, `say ${name}`);
    await page.getByText(`end ${name}`, { exact: true }).waitFor();
    await until(`the end of ${name} is in view`, () => isInView(`end ${name}`), { timeoutMs: WAIT_MS });
  }
  await page.mouse.move(640, 300);
  await page.mouse.wheel(0, -1_500);
  await page.getByRole('button', { name: 'To the newest' }).waitFor();
  model.enqueue(text(lines('four')));
  await say(page, 'say four');
  await page.getByRole('button', { name: 'Stop' }).waitFor({ state: 'detached' });
  t.ok(await page.getByRole('button', { name: 'To the newest' }).isVisible(), 'it has stayed where it was');
  await page.getByRole('button', { name: 'To the newest' }).click();
  await until('the end is in view', () => isInView('end four'), { timeoutMs: WAIT_MS });
  t.same(faults, []);
});

t.test('what attacks is shown as text, and the page stays quick', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url);
  t.teardown(() => context.close());
  await logIn(page, engine);
  const attack = [
    '<script>window.hit = 1</script> <img src=x onerror="window.hit = 2">',
    '[press me](javascript:window.hit=3) ![spy](https://spy.invalid/x.png) <https://ok.invalid/a>',
    '\u001B[31mred\u001B[2J exe.\u202Egpj',
    '<iframe srcdoc="<script>parent.hit=4</script>"></iframe><svg onload="window.hit=5">',
  ].join('\n\n');
  model.enqueue(
    tool('run_command', { command: "printf '<b>\\033[31m\\342\\200\\256'; head -c 10000000 /dev/zero | tr '\\0' x" }),
    text(attack),
  );
  await say(page, attack);
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('press me').last().waitFor();
  t.equal(await page.evaluate('window.hit'), undefined, 'nothing ran');
  const answer = page.locator('.prose').last();
  t.match(await answer.textContent(), /<script>window\.hit = 1<\/script>/);
  t.equal(await answer.locator('img, iframe, svg, script').count(), 0);
  const links = await answer.locator('a').all();
  const addresses = await Promise.all(links.map((link) => link.getAttribute('href')));
  t.same(addresses, ['https://spy.invalid/x.png', 'https://ok.invalid/a']);
  t.match(await answer.textContent(), /exe\.<U\+202E>gpj/);
  await page.getByRole('button', { name: /^run_command/ }).click();
  t.match(await page.locator('.card .mono').last().textContent(), /exit code|x{100}/);
  const began = Date.now();
  await page.getByLabel('Message').fill('still here');
  t.ok(Date.now() - began < 10_000, 'it answers');
  t.same(faults, [], 'and asked nobody else');
});

t.test(
  'a cut in the middle of a stream and a server that is killed lose and repeat nothing; two tabs say the same',
  async (t) => {
    const cutter = await startCutter(t, () => engine.url);
    const url = `http://app.localhost:${cutter.port}`;
    const { page, context, faults } = await openPage(browser, url);
    t.teardown(() => context.close());
    await logIn(page, engine, url);
    const rest = deferred<undefined>();
    async function* slowly(): AsyncGenerator<string> {
      yield 'The first half, ';
      await rest.promise;
      yield 'and the second.';
    }
    model.enqueue({ blocks: [{ text: slowly() }] });
    await say(page, 'slowly');
    await page.getByText('The first half,').waitFor();
    const other = await openPage(browser, url, { context });
    await other.page.goto(page.url());
    await other.page.getByText('The first half,').waitFor();
    t.equal(
      (await other.page.getByText('slowly', { exact: true }).count()) > 0,
      true,
      'the other tab knows what was said',
    );

    t.ok(cutter.cut() > 0);
    await page.getByText('reconnecting').waitFor();
    rest.resolve(undefined);
    await page.getByText('The first half, and the second.').waitFor();
    t.equal(await page.locator('.prose').count(), 1);
    await other.page.getByText('The first half, and the second.').waitFor();

    model.enqueue(tool('list_files', { path: '/workspace' }), text('After the crash.'));
    await say(page, 'list');
    await page.getByRole('button', { name: 'Approve' }).waitFor();
    cutter.away = true;
    cutter.cut();
    await engine.restart({ signal: 'SIGKILL', samePort: true });
    await page.getByText('reconnecting').waitFor();
    cutter.away = false;
    await page.getByText('live', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Approve' }).click();
    await page.getByText('After the crash.').waitFor();
    await other.page.getByText('After the crash.').waitFor();
    const shown = async (of: typeof page): Promise<string[]> =>
      (await of.locator('.item').allTextContents()).map((each) => each.replace(/\d+(?:\.\d+)? m?s/, ''));
    t.same(await shown(page), await shown(other.page));
    t.equal(await page.getByText('After the crash.').count(), 1);
    t.same([...faults, ...other.faults], []);
  },
);

t.test('a phone shows one thing at a time, and all of it fits', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url, { width: 375, height: 667 });
  t.teardown(() => context.close());
  await logIn(page, engine);
  model.enqueue(tool('run_command', { command: `echo ${'long '.repeat(40)}` }), text('Done on the phone.'));
  await say(page, 'run');
  await page.getByRole('button', { name: 'Approve' }).waitFor();
  const wide = (): Promise<unknown> => page.evaluate('document.documentElement.scrollWidth');
  t.equal(await wide(), 375);
  t.same(await violations(page), []);
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('Done on the phone.').waitFor();
  await page.getByRole('button', { name: 'Conversations' }).click();
  await page.getByLabel('Search conversations').waitFor();
  t.equal(await wide(), 375);
  t.same(await violations(page), []);
  t.same(faults, []);
});

t.test('a session is renamed, found and deleted; another user’s is not there', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url);
  t.teardown(() => context.close());
  await logIn(page, engine);
  model.enqueue(text('Hello.'));
  await say(page, 'to be renamed');
  await page.getByText('Hello.').waitFor();
  await page.getByRole('button', { name: 'Rename to be renamed' }).click();
  await page.getByLabel('Title', { exact: true }).fill('The importer');
  await page.getByRole('dialog').getByRole('button', { name: 'Rename' }).click();
  await page.getByRole('heading', { name: 'The importer' }).waitFor();
  await page.getByLabel('Search conversations').fill('importer');
  t.equal(await page.locator('.entry').count(), 1);
  t.same(await violations(page), []);
  await page.getByRole('button', { name: 'Delete The importer' }).click();
  t.same(await violations(page), [], 'a dialog');
  await page.getByRole('button', { name: 'Delete it' }).click();
  await page.getByRole('heading', { name: 'New conversation' }).waitFor();
  await page.goto(`${engine.url}/#/s/AAAAAAAAAAAAAAAAAAAAAAAA`);
  await page.getByText('There is no such conversation for you.').waitFor({ timeout: WAIT_MS });
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByLabel('Token').waitFor();
  t.same(faults, []);
});
