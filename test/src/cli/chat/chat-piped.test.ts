import t, { type Test } from 'tap';
import { answer, askApproval, ProtocolServer, type ServerOptions } from '../../../helpers/protocol-server.js';
import { runCli } from '../spawn-cli.js';

async function serverFor(test: Test, options?: ServerOptions): Promise<ProtocolServer> {
  const server = new ProtocolServer(options);
  test.teardown(() => server.close());
  await server.listen();
  return server;
}

/** Asks before it answers; says in the answer what it was told. */
const ASKS: ServerOptions = {
  onMessage: (session, turn) => askApproval(session, turn, `call-${turn}`),
  onFrame: (session, frame) => {
    if (frame.type !== 'tool:approval') return;
    session.pending = [];
    session.add({ type: frame.approved ? 'tool:approved' : 'tool:denied', callId: frame.callId, by: 'user' });
    answer(session, session.turns, frame.approved ? 'did it' : 'did not');
  },
};

t.test('each line is a message, answered in order, and only answers are on stdout', async (t) => {
  const server = await serverFor(t);
  const result = await runCli(t, ['chat', server.url, '--model', 'other'], { stdin: 'one\n\ntwo' });
  t.match(result, { code: 0, stdout: 'echo: one\necho: two\n' });
  t.match(server.attaches, [{ model: 'other' }]);
  t.match(result.stderr, 'model other');
});

t.test('the token comes from the option or the environment', async (t) => {
  const server = await serverFor(t, { token: 'flt_right' });
  const stdin = 'hi\n';
  t.match(await runCli(t, ['chat', server.url, '--token', 'flt_right'], { stdin }), { code: 0 });
  t.match(await runCli(t, ['chat', server.url], { stdin, env: { FAIRLEAD_TOKEN: 'flt_right' } }), { code: 0 });
  const { code, stdout, stderr } = await runCli(t, ['chat', server.url, '--token', 'flt_wrong'], { stdin });
  t.match({ code, stdout }, { code: 1, stdout: '' });
  t.match(stderr, '--token');
  const waiting = await runCli(t, ['chat', server.url], { keepOpen: true });
  t.equal(waiting.code, 1, 'also while it waits for a line');
  t.equal(server.attaches.length, 4, 'a refused token is not tried again');
});

t.test('a tool call is denied and that is said, or allowed with --yes', async (t) => {
  const server = await serverFor(t, ASKS);
  const denied = await runCli(t, ['chat', server.url], { stdin: 'list\n' });
  t.match(denied, { code: 0, stdout: 'did not\n' });
  t.match(denied.stderr, '--yes');
  t.match(server.frames.at(-1), { type: 'tool:approval', approved: false, reason: /./ });
  const allowed = await runCli(t, ['chat', server.url, '--yes'], { stdin: 'list\n' });
  t.match(allowed, { code: 0, stdout: 'did it\n' });
});

t.test('a cut connection in the middle of an answer is resumed, the text is whole', async (t) => {
  const server = await serverFor(t, {
    onMessage: (session, turn) => {
      session.stream({ type: 'text:delta', turn, block: 0, offset: 0, text: 'first half, ' });
      server.once('detach', () => {
        session.add({ type: 'text', turn, block: 0, text: 'first half, second half' });
        session.end(turn);
      });
      setImmediate(() => server.cut());
    },
  });
  const result = await runCli(t, ['chat', server.url], { stdin: 'go\n' });
  t.match(result, { code: 0, stdout: 'first half, second half\n' });
  t.match(result.stderr, 'connecting again');
});

t.test('the exit code is that of the last turn', async (t) => {
  const server = await serverFor(t, {
    onMessage: (session, turn, text) => {
      if (text !== 'bad') answer(session, turn, 'fine');
      else session.end(turn, { stopReason: 'error', error: { code: 'ERR_MODEL', message: 'busy' } });
    },
  });
  const failed = await runCli(t, ['chat', server.url], { stdin: 'good\nbad\n' });
  t.match(failed, { code: 1, stdout: 'fine\n' });
  t.match(failed.stderr, 'ERR_MODEL');
  t.match(await runCli(t, ['chat', server.url], { stdin: 'bad\ngood\n' }), { code: 0, stdout: 'fine\n' });
});

t.test('escape sequences of the model do not come through', async (t) => {
  const server = await serverFor(t, {
    onMessage: (session, turn) => answer(session, turn, 'a\u001B[2Jb\u0007'),
  });
  t.match(await runCli(t, ['chat', server.url], { stdin: 'x\n' }), { code: 0, stdout: /^a(\[2J)?b\n$/ });
});

t.test('no server there, no such session and no address are errors with exit 1', async (t) => {
  const server = await serverFor(t);
  const gone = await runCli(t, ['chat', server.url, '--session', 'nope'], { stdin: 'x\n' });
  t.equal(gone.code, 1);
  const { url } = server;
  await server.close();
  const away = await runCli(t, ['chat', url], { stdin: 'x\n' });
  t.match(away, { code: 1, stderr: /^error: .*fairlead serve/ });
  t.match(await runCli(t, ['chat', 'ftp://x']), { code: 1, stderr: /^error: / });
});
