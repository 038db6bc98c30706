import t from 'tap';
import { initializeProblem, readClientMessage, wordsOf } from '../../../../workers/agent/serve/client-message.js';

const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'x', arguments: { a: null } } };
const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize' };
const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } };
const response = (fields: object): object => ({ jsonrpc: '2.0', id: 1, ...fields });

void t.test('what is by the book stays as it is, and so does what is no message', async (t) => {
  const answer = response({ result: { action: 'accept', content: { n: 1 } } });
  for (const value of [call, { ...initialize, params }, answer, response({ error: { code: 1 } }), 5, null, 'x', {}]) {
    t.same(readClientMessage(value), value);
  }
});

void t.test('a null counts as absent: beside what is there, and in what may be left out', async (t) => {
  const result = { action: 'accept', content: { n: 2 } };
  t.same(readClientMessage(response({ result, error: null })), response({ result }));
  t.same(readClientMessage(response({ result: null, error: { code: 1 } })), response({ error: { code: 1 } }));
  t.same(readClientMessage(response({ result: null })), response({ result: {} }));
  const open = { action: 'accept', content: { n: 2, mail: null } };
  t.same(readClientMessage([response({ result: open })]), [response({ result })]);
  t.same(readClientMessage(response({ result: { action: 'decline', content: null } })), {
    ...response({ result: { action: 'decline' } }),
  });
  const given = { ...call.params, _meta: null, inputResponses: { k: open } };
  t.same(readClientMessage({ ...call, params: given }), {
    ...call,
    params: { ...call.params, inputResponses: { k: result } },
  });
  t.same(readClientMessage({ ...call, params: null }), { jsonrpc: '2.0', id: 1, method: 'tools/call' });
});

void t.test(
  'a client need say of itself no more than its version of the protocol; else the field is named',
  async (t) => {
    const { protocolVersion } = params;
    const bare = { ...initialize, params: { protocolVersion, capabilities: null, clientInfo: null } };
    t.match(readClientMessage(bare), {
      params: { protocolVersion, capabilities: {}, clientInfo: { name: 'unknown' } },
    });
    t.equal(initializeProblem(call), undefined);
    t.match(initializeProblem(readClientMessage(initialize)), /^params: /);
    t.match(initializeProblem(readClientMessage({ ...initialize, params: {} })), /^params\.protocolVersion: /);
    t.equal(wordsOf([]), '');
  },
);
