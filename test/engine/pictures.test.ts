/** A picture on its whole way: a frame, the agent thread, the image program beside it, the model's API. */
import t from 'tap';
import { startEngine } from '../helpers/engine.js';
import { startModelServer, text } from '../helpers/model-server.js';
import { metadataOf, photo } from '../helpers/pictures.js';
import { connect } from '../helpers/ws-client.js';

t.setTimeout(300_000); // a whole process, on a machine that may be busy

t.test('a photo reaches the model smaller, upright and without its place', async (t) => {
  const model = await startModelServer();
  t.teardown(() => model.close());
  model.script(() => text('nice'));
  const engine = await startEngine({
    config: { sandbox: { driver: 'process' } },
    env: { DOCKER_HOST: '', REDIS_URL: '', ANTHROPIC_API_KEY: 'sk-test-key', ANTHROPIC_BASE_URL: model.url },
  });
  t.teardown(() => engine.stop());
  const client = await connect(engine.wsUrl);
  t.teardown(() => client.close());
  await client.ready;
  const data = (await photo(4_000, 3_000, 6)).toString('base64');
  client.send({ type: 'message', content: [{ type: 'image', mimeType: 'image/jpeg', data }] });
  t.match(await client.turnEnd(undefined, { timeoutMs: 120_000 }), { stopReason: 'end_turn' });
  const sent = JSON.stringify(model.requests.at(-1)?.body);
  const shown = /"media_type":"image\/jpeg","data":"([^"]+)"/.exec(sent)?.[1] ?? '';
  const { width, height, exif } = await metadataOf(shown);
  t.same({ width, height, exif }, { width: 1_176, height: 1_568, exif: undefined });
});
