/** The pages beside the conversations: servers, and what is the person's own. */
import t from 'tap';
import { startMcpHttpServer } from '../helpers/mcp-http-server.js';
import { text, tool } from '../helpers/model-server.js';
import { logIn, openPage, say, startWorld, violations } from './browser.js';
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
    await message.press('/');
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'greet · docs' }).click();
    t.same(await violations(page), []);
    await dialog.getByLabel('name').fill('Ada');
    await dialog.getByRole('button', { name: 'Use it' }).click();
    await dialog.waitFor({ state: 'detached' });
    t.equal(await message.inputValue(), 'Please greet Ada.');
    model.enqueue(tool('echo', { text: 'hi' }), text('Hello Ada.'));
    await message.press('Enter');
    await page.getByRole('button', { name: 'Approve' }).click();
    await page.getByText('Hello Ada.', { exact: true }).waitFor();
    await page.getByRole('region', { name: 'echo: done' }).getByRole('button', { expanded: false }).click();
    await page.getByRole('button', { name: 'Ask for it again' }).click();
    t.match(await message.inputValue(), /^Call echo again, with these arguments:\n\n\{\n {2}"text": "hi"\n\}$/);
    await page.getByRole('button', { name: 'Edit and send again' }).first().click();
    t.equal(await message.inputValue(), 'good day');
    t.same(await violations(page), []);
    t.same(faults, []);
  },
);

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
