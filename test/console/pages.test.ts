/** The pages beside the conversations: servers, and what is the person's own. */
import t from 'tap';
import { startMcpHttpServer } from '../helpers/mcp-http-server.js';
import { text, tool } from '../helpers/model-server.js';
import { until } from '../helpers/until.js';
import { logIn, openPage, say, startWorld, violations, WAIT_MS } from './browser.js';
import { takePictures } from './pictures.js';

t.setTimeout(1_200_000);

const docs = await startMcpHttpServer({ rich: true, tools: { echo: { description: 'Says it again.' } } });
t.teardown(() => docs.stop());

const { engine, model, browser } = await startWorld(
  t,
  {},
  {
    mcpServers: {
      workspace: { image: 'fairlead/workspace' },
      away: { url: 'https://127.0.0.1:9/mcp' },
      docs: { url: docs.url },
    },
    mcp: { allowLoopback: true },
    quotas: { default: { maxTurns: 0, maxSessions: 7 } },
  },
);

t.test('servers say how they do, what they offer, and answer a test', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url);
  t.teardown(() => context.close());
  await logIn(page, engine);
  await page.getByRole('link', { name: 'Servers' }).click();
  await page.getByRole('heading', { name: 'Servers', level: 1 }).waitFor();
  const server = page.getByRole('region', { name: 'workspace' });
  await server.getByText('in the sandbox of each conversation').waitFor();
  await server.getByText(/\d+ tools/).click();
  await server.getByText('run_command', { exact: true }).waitFor();
  t.same(await violations(page), []);
  await page.emulateMedia({ colorScheme: 'dark' });
  t.same(await violations(page), [], 'in the dark');
  await takePictures(page, 'servers');
  const card = page.getByRole('region', { name: 'away' });
  await card.getByRole('button', { name: 'Test' }).click();
  await card.getByText(/\(ERR_\w+\)/).waitFor();
  t.same(faults, []);
});

t.test(
  'a prompt is chosen behind a slash, filled in, changed and sent; a message and a call are asked anew',
  async (t) => {
    const { page, context, faults } = await openPage(browser, engine.url);
    t.teardown(() => context.close());
    await logIn(page, engine);
    model.enqueue(text('Good day.'));
    await say(page, 'good day');
    await page.getByText('Good day.', { exact: true }).waitFor();
    const message = page.getByLabel('Message');
    const stands = (words: string): Promise<void> =>
      until(words, async () => (await message.inputValue()) === words, { timeoutMs: WAIT_MS });
    await message.press('/');
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'greet · docs' }).click();
    t.same(await violations(page), []);
    await dialog.getByLabel('name').fill('Ada');
    await dialog.getByRole('button', { name: 'Use it' }).click();
    await dialog.waitFor({ state: 'detached' });
    await stands('Please greet Ada.');
    model.enqueue(tool('echo', { text: 'hi' }), text('Hello Ada.'));
    await message.press('Enter');
    await page.getByRole('button', { name: 'Approve' }).click();
    await page.getByText('Hello Ada.', { exact: true }).waitFor();
    await page.getByRole('region', { name: 'echo: done' }).getByRole('button', { expanded: false }).click();
    await page.getByRole('button', { name: 'Ask for it again' }).click();
    await stands('Call echo again, with these arguments:\n\n{\n  "text": "hi"\n}');
    await page.getByRole('button', { name: 'Edit and send again' }).first().click();
    await stands('good day');
    t.same(await violations(page), []);
    t.same(faults, []);
  },
);

t.test('who runs the box sees how it does, whose sessions there are, and reads the configuration again', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url);
  t.teardown(() => context.close());
  await logIn(page, engine);
  model.enqueue(text('Good morning.'));
  await say(page, 'good morning');
  await page.getByText('Good morning.', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'System' }).click();
  const stages = page.getByRole('list', { name: 'What a turn goes through' });
  await stages.getByRole('heading', { name: 'Agent threads' }).waitFor();
  await stages.getByText(/turns a second/).waitFor(); // from the second answer on
  await page.getByRole('img', { name: /^Turns that run: 0; people: \d/ }).waitFor();
  await page
    .getByRole('row', { name: /^local rests/ })
    .first()
    .waitFor();
  await page.getByRole('combobox', { name: /^by/ }).selectOption('model');
  await page.getByRole('rowheader', { name: 'claude-sonnet-5-5' }).waitFor();
  await page.getByRole('button', { name: 'Read it again' }).click();
  await page.getByText('Nothing has changed.').waitFor();
  t.same(await violations(page), []);
  await page.emulateMedia({ colorScheme: 'dark' });
  t.same(await violations(page), [], 'in the dark');
  await takePictures(page, 'system');
  t.same(faults, []);
});

t.test('a person sees their use, limits and tokens, and revokes one', async (t) => {
  const { page, context, faults } = await openPage(browser, engine.url);
  t.teardown(() => context.close());
  await logIn(page, engine);
  const token = await engine.token();
  const make = async (note: string): Promise<string> => {
    const answer = await fetch(`${engine.url}/v1/admin/tokens`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ user: 'local', note }),
    });
    return ((await answer.json()) as { token: string }).token;
  };
  const lost = await make('the lost phone');
  await make('the laptop');
  model.enqueue(text('Hello.'));
  await say(page, 'hello');
  await page.getByText('Hello.').waitFor();
  await page.getByRole('link', { name: 'You' }).click();
  await page.getByRole('heading', { name: 'local', level: 2 }).waitFor();
  await page.getByRole('heading', { name: 'Used this month' }).waitFor();
  await page.getByText('7 conversations').waitFor();
  await page.getByText('the lost phone').waitFor();
  t.same(await violations(page), []);
  await page.emulateMedia({ colorScheme: 'dark' });
  t.same(await violations(page), [], 'in the dark');
  await takePictures(page, 'you');
  await page.getByRole('button', { name: 'Revoke the lost phone' }).click();
  await page.getByRole('button', { name: 'Revoke it' }).click();
  await page.getByText('the lost phone').waitFor({ state: 'detached' });
  t.equal(await page.getByText('the laptop').count(), 1);
  const late = await fetch(`${engine.url}/v1/sessions`, { headers: { authorization: `Bearer ${lost}` } });
  t.equal(late.status, 401);
  t.same(faults, []);
});
