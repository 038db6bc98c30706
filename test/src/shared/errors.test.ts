import t from 'tap';
import {
  ERROR_TABLE,
  errorFromData,
  errorToData,
  FairleadError,
  isFairleadError,
  publicMessage,
} from '../../../src/shared/errors.js';

void t.test('a coded error comes out of its data as it went in', async (t) => {
  const error = new FairleadError('ERR_UNAVAILABLE', 'full', { retryAfterMs: 500, cause: new Error('why') });
  const back = errorFromData(structuredClone(errorToData(error)));
  t.ok(isFairleadError(back, 'ERR_UNAVAILABLE'));
  t.match(back, { message: 'full', retryAfterMs: 500, stack: error.stack });
});

void t.test('anything thrown without one of our codes is an internal error', async (t) => {
  t.match(errorToData(new TypeError('x')), { code: 'ERR_INTERNAL', name: 'TypeError', message: 'x' });
  t.match(errorToData('text'), { code: 'ERR_INTERNAL', message: 'text' });
  t.match(errorToData(undefined), { code: 'ERR_INTERNAL' });
  t.notOk(isFairleadError(new Error('x')));
  t.notOk(isFairleadError(new FairleadError('ERR_MODEL', 'x'), 'ERR_MCP'));
});

void t.test('a client is never told the message of an internal error', async (t) => {
  t.equal(publicMessage(errorToData(new Error('a secret'))), 'internal error');
  t.equal(publicMessage(errorToData(new FairleadError('ERR_MODEL', 'overloaded'))), 'overloaded');
});

void t.test('every code has a status of an error and a title', async (t) => {
  for (const [code, { status, title }] of Object.entries(ERROR_TABLE)) {
    t.match(code, /^ERR_[A-Z_]+$/);
    t.ok(status >= 400 && status < 600, code);
    t.ok(title.length > 0, code);
  }
});
