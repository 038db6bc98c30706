/** What waits is looked at and answered: in place and in the inbox, with real sandboxes for the files that are compared. */
import type { Page } from 'playwright-core';
import t from 'tap';
import { text, tool } from '../helpers/model-server.js';
import { startStack } from '../helpers/stack.js';
import { logIn, openPage, say, startBrowser, violations } from './browser.js';
import { takePictures } from './pictures.js';

t.setTimeout(1_200_000);

const stack = await startStack({ config: { auth: {} } });
t.teardown(() => stack.stop());
const { engine, model } = stack;
const browser = await startBrowser(t);

/** In a conversation of its own; resolves when its call waits. */
async function ask(page: Page, words: string, name: string): Promise<void> {
  await page.getByRole('button', { name: 'New conversation' }).click();
  await page.getByRole('heading', { name: 'New conversation' }).waitFor();
  await say(page, words);
  await page.getByRole('region', { name: `${name}: waits for you` }).waitFor();
}

/** Waits until the inbox lists so many. */
async function inbox(page: Page, count: number): Promise<void> {
  await page.getByRole('link', { name: 'Inbox' }).click();
  await page.getByRole('heading', { name: 'Waiting for you', level: 1 }).waitFor();
  if (count === 0) await page.getByText('Nothing waits for you.').waitFor();
  else
    await page
      .locator('.ask')
      .nth(count - 1)
      .waitFor();
  await page.locator('.ask').nth(count).waitFor({ state: 'detached' });
}

const toldToModel = (): string => JSON.stringify(model.requests.at(-1)!.body.messages);

t.test(
  'calls of all conversations are one list: compared with the file, edited in a form, approved by key',
  async (t) => {
    const { page, context, faults } = await openPage(browser, engine.url);
    t.teardown(() => context.close());
    await logIn(page, engine);
    model.enqueue(tool('write_file', { path: 'notes.txt', content: 'one\ntwo\nlast\n' }), text('It is written.'));
    await ask(page, 'write the notes', 'write_file');
    await page.getByText('It makes a new file:').waitFor();
    t.match(await page.locator('.diff').textContent(), /\+one\+two\+last/);
    await page.getByRole('button', { name: 'Approve' }).click();
    await page.getByText('It is written.').waitFor();

    model.enqueue(tool('edit_file', { path: 'notes.txt', old_text: 'two', new_text: 'three' }));
    await say(page, 'edit the notes');
    await page.getByText('It changes the file as it is now:').waitFor();
    model.enqueue(tool('run_command', { command: 'echo as the model wants', timeout_ms: 20_000 }));
    await ask(page, 'run something', 'run_command');

    await inbox(page, 2);
    t.equal(await page.title(), '(2) Waiting for you · Fairlead');
    const names = await page.locator('.ask h2').allTextContents();
    t.same(names, ['edit_file', 'run_command'], 'oldest first');
    const edit = page.getByRole('article', { name: 'edit_file: waits for you' });
    await edit.getByText('It changes the file as it is now:').waitFor();
    t.same(await edit.locator('.diff > *').allTextContents(), ['@@ -1,3 +1,3 @@', ' one', '-two', '+three', ' last']);
    t.match(await edit.textContent(), /It is denied by itself in/);
    t.same(await violations(page), [], 'the inbox');
    await page.emulateMedia({ colorScheme: 'dark' });
    t.same(await violations(page), [], 'the inbox in the dark');
    await takePictures(page, 'inbox');

    await edit.focus();
    await page.keyboard.press('j');
    const run = page.getByRole('article', { name: 'run_command: waits for you' });
    t.equal(await page.evaluate('document.activeElement.ariaLabel'), 'run_command: waits for you', 'j goes on');
    await page.keyboard.press('e');
    const command = run.getByLabel('command', { exact: true });
    await command.waitFor();
    t.equal(await command.inputValue(), 'echo as the model wants');
    t.same(await violations(page), [], 'a form for the arguments');
    await takePictures(page, 'edit');
    await command.fill('echo as edited by hand');
    await run.getByLabel(/^timeout_ms/).fill('-3');
    await run.getByRole('button', { name: 'Approve as edited' }).click();
    await run.getByText('ERR_TOOL_ARGS').waitFor();
    await run.getByLabel(/^timeout_ms/).fill('30000');
    // The stand-in model gives its answers in this order, whoever asks.
    model.enqueue(text('It has run.'));
    await run.getByRole('button', { name: 'Approve as edited' }).click();
    await run.waitFor({ state: 'detached' });
    await page.getByRole('link', { name: /^run something/ }).click();
    await page.getByText('It has run.').waitFor();
    t.match(toldToModel(), /as edited by hand/, 'it ran as it was edited, and the model is told');
    await inbox(page, 1);
    model.enqueue(text('It is edited.'));
    await edit.focus();
    await page.keyboard.press('Enter');
    await page.getByText('Nothing waits for you.').waitFor();
    t.notMatch(await page.title(), /^\(/);
    t.same(faults, []);
  },
);

t.test(
  'all that are shown are approved at once; a no has its reason; what is longer than the page needs its button',
  async (t) => {
    const { page, context, faults } = await openPage(browser, engine.url);
    t.teardown(() => context.close());
    await logIn(page, engine);
    const long = `echo ${'long '.repeat(3_000)}`;
    model.enqueue(tool('run_command', { command: long }), text('Well.'));
    await ask(page, 'long', 'run_command');
    await inbox(page, 1);
    const article = page.getByRole('article');
    await article.focus();
    await page.keyboard.press('Enter');
    await article.getByText('It is longer than the page').waitFor();
    await page.keyboard.press('n');
    await article.getByLabel('Why not?').fill('Too long for me.');
    await article.getByRole('button', { name: 'Deny it' }).click();
    await page.getByText('Nothing waits for you.').waitFor();
    await page.getByRole('link', { name: /^long/ }).click();
    await page.getByText('Well.').waitFor();
    t.match(toldToModel(), /Too long for me\./);

    for (const name of ['first', 'second']) {
      model.enqueue(tool('run_command', { command: `echo ${name}` }));
      await ask(page, name, 'run_command');
    }
    await inbox(page, 2);
    model.enqueue(text('Done.'), text('Done.'));
    await page.getByRole('button', { name: 'Approve all 2 calls above' }).click();
    await page.getByText('Nothing waits for you.').waitFor();
    await page.getByRole('link', { name: /^first/ }).click();
    await page.getByText('Done.').waitFor();
    t.same(faults, []);
  },
);

t.test('a notification comes only where it was allowed by a click and nobody looks', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url);
  t.teardown(() => context.close());
  // What the system shows cannot be seen from here: the page's own calls can.
  await page.addInitScript(() => {
    const shown: string[] = [];
    let tell: (() => void) | undefined;
    const told = new Promise<void>((resolve) => {
      tell = resolve;
    });
    class Shown extends EventTarget {
      static permission = 'default';
      static requestPermission(): Promise<string> {
        Shown.permission = 'granted';
        return Promise.resolve('granted');
      }
      constructor(title: string) {
        super();
        shown.push(title);
        tell?.();
      }
      close(): void {}
    }
    Object.assign(globalThis, { Notification: Shown, shown, told });
  });
  await logIn(page, engine);
  await inbox(page, 0);
  await page.getByRole('button', { name: 'Notify me' }).click();
  await page.getByRole('button', { name: 'Notify me' }).waitFor({ state: 'detached' });
  model.enqueue(tool('run_command', { command: 'echo seen' }));
  await ask(page, 'seen', 'run_command');
  await page.locator('.pages .count', { hasText: '1' }).waitFor();
  t.same(await page.evaluate('shown'), [], 'somebody looks');
  await page.evaluate("Object.defineProperty(document, 'hidden', { value: true })");
  const cookie = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const post = async (path: string, body: object): Promise<Response> =>
    fetch(engine.url + path, {
      method: 'POST',
      headers: { cookie, 'content-type': 'application/json', origin: engine.url },
      body: JSON.stringify(body),
    });
  const made = (await (await post('/v1/sessions', {})).json()) as { session: string };
  model.enqueue(tool('run_command', { command: 'echo unseen' }));
  await post(`/v1/sessions/${made.session}/messages`, { text: 'elsewhere' });
  await page.evaluate('told');
  t.same(await page.evaluate('shown'), ['run_command waits for you']);
  t.same(faults, []);
});

t.test('on a phone the inbox is one page, and all of it fits', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url, { width: 375, height: 667 });
  t.teardown(() => context.close());
  await logIn(page, engine);
  await page.getByRole('button', { name: 'Conversations' }).click();
  await inbox(page, 2);
  t.equal(await page.evaluate('document.documentElement.scrollWidth'), 375);
  t.same(await violations(page), []);
  await page.getByRole('article').first().getByRole('button', { name: 'Approve' }).click();
  await page.locator('.ask').nth(1).waitFor({ state: 'detached' });
  t.equal(await page.locator('.ask').count(), 1);
  t.same(faults, []);
});
