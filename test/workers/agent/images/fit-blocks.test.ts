import t from 'tap';
import { base64, metadataOf, photo, picture } from '../../../helpers/pictures.js';
import { png } from '../../../helpers/images.js';
import { OF, startBench, type AgentBench } from '../agent-bench.js';
import { callsTools, says } from '../scripted-model.js';

const json = (value: unknown): string => JSON.stringify(value);

interface Shown {
  source: { media_type: string; data: string };
}

function submit(bench: AgentBench, data: string, mimeType: string): Promise<unknown> {
  const image = { type: 'image' as const, mimeType, data };
  return bench.request('submit-message', { ...OF, content: [{ type: 'text', text: 'look' }, image] });
}

void t.test(
  'a picture of a message is stored as the model takes it, and a message behind it stays behind',
  async (t) => {
    const bench = await startBench(t);
    bench.model.next(says('nice'), says('fine'));
    const given = (await photo(3_000, 2_000, 6)).toString('base64');
    // The type is the one of the bytes.
    const [first, second] = await Promise.all([submit(bench, given, 'image/png'), bench.say('and now?')]);
    t.match(first, { turn: 1 });
    t.match(second, { turn: 2 });
    await bench.turnEnd(2);
    const shown = bench.model.requests[0]?.messages[0]?.content[1] as Shown;
    t.equal(shown.source.media_type, 'image/jpeg');
    t.match(await metadataOf(shown.source.data), { width: 1_045, height: 1_568 });
    t.notMatch(json(bench.model.requests), given);
  },
);

void t.test(
  'a picture that cannot be decoded is refused with the block that has it, and the next message goes on',
  async (t) => {
    const bench = await startBench(t);
    bench.model.next(says('fine'));
    const refused = submit(bench, png(3_000, 2_000), 'image/png');
    const next = bench.say('and now?');
    await t.rejects(refused, { code: 'ERR_BAD_IMAGE', message: /^content\.1\.data: the image cannot be decoded/ });
    t.match(await next, { turn: 1 });
    await bench.turnEnd(1);
  },
);

void t.test('a message that is sent again while its picture is made to fit runs once', async (t) => {
  const bench = await startBench(t);
  bench.model.next(says('nice'));
  const content = [{ type: 'image' as const, mimeType: 'image/png', data: await base64(picture(3_000, 20).png()) }];
  const message = { ...OF, content, id: 'm-1' };
  const sent = [bench.request('submit-message', message), bench.request('submit-message', message)];
  t.match(await Promise.all(sent), [
    { turn: 1, duplicate: false },
    { turn: 1, duplicate: true },
  ]);
  await bench.turnEnd(1);
});

void t.test('the side of pictures follows the configuration', async (t) => {
  const bench = await startBench(t, { limits: { maxImageSide: 100 } });
  bench.model.next(says('nice'));
  await submit(bench, await base64(picture(300, 200).png()), 'image/png');
  await bench.turnEnd(1);
  const shown = bench.model.requests[0]?.messages[0]?.content[1] as Shown;
  t.match(await metadataOf(shown.source.data), { width: 100, height: 67 });
});

void t.test('pictures in a tool’s result are made to fit; one that cannot be decoded is passed on', async (t) => {
  const bench = await startBench(t, { approvals: { default: 'allow' } });
  const [large, broken] = [await base64(picture(9_000, 20).png()), png(3_000, 2_000)];
  bench.box.shown = [
    { type: 'image', data: large, mimeType: 'image/png' },
    { type: 'image', data: broken, mimeType: 'image/png' },
    { type: 'resource', resource: { uri: 'file:///a.png', blob: large, mimeType: 'image/png' } },
  ];
  bench.model.next(callsTools([{ id: 'c-1', name: 'show', input: {} }]), says('ok'));
  await bench.say('go');
  await bench.turnEnd(1);
  const { content } = await bench.event('tool:result');
  const [first, second, third] = content as { data?: string; resource?: { blob: string } }[];
  t.match(await metadataOf(first!.data!), { width: 1_568, height: 3 });
  t.equal(second!.data, broken);
  t.equal(third!.resource!.blob, first!.data);
  t.notMatch(json(bench.model.requests), large);
});
