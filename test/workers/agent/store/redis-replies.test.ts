import { ClientClosedError, SimpleError } from 'redis';
import t from 'tap';
import { isFairleadError } from '../../../../src/shared/errors.js';
import { asStoreError, isTransient, replyWord } from '../../../../workers/agent/store/redis-replies.js';

t.test('the error of a script yields the code of the command that failed, for any version of Redis', async (t) => {
  const before7 =
    "ERR Error running script (call to f_ab12): @user_script:1: @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.";
  t.equal(replyWord(before7), 'OOM');
  t.equal(replyWord("OOM command not allowed when used memory > 'maxmemory'. script: ab12, on @user_script:3."), 'OOM');
  t.equal(replyWord('ERR Error running script (call to f_ab12): @user_script:9: attempt to compare nil'), 'ERR');
  t.equal(replyWord(''), '');
});

t.test('a transient error is retried; a lasting one is not', async (t) => {
  for (const message of ['LOADING Redis is loading', 'READONLY You cannot', 'CLUSTERDOWN x', 'MASTERDOWN x']) {
    t.equal(isTransient(new SimpleError(message), 1), true, message);
  }
  for (const message of ['NOAUTH x', 'WRONGPASS x', 'NOPERM x', 'WRONGTYPE x', 'ERR syntax error']) {
    t.equal(isTransient(new SimpleError(message), 1), false, message);
  }
  t.equal(isTransient(new Error('read ECONNRESET'), 1), true);
  t.equal(isTransient(new ClientClosedError(), 1), false);
  t.equal(isTransient(new TypeError('a fault of the code'), 1), false);
  t.equal(isTransient(new Error('The queue is full'), 1), false, 'what is new is shed');
  t.equal(isTransient(new Error('The queue is full'), 2), true, 'what was sent before may have landed');
});

t.test('a lost connection or refused credentials are ERR_UNAVAILABLE, a refused command is ERR_INTERNAL', async (t) => {
  const inScript =
    "ERR The user executing the script can't run this command or subcommand script: ab12, on @user_script:3.";
  for (const error of [
    ...['NOPERM x', 'BUSY x', inScript].map((message) => new SimpleError(message)),
    new Error('read ECONNRESET'),
  ]) {
    t.ok(isFairleadError(asStoreError(error), 'ERR_UNAVAILABLE'), error.message);
  }
  t.ok(isFairleadError(asStoreError(new SimpleError('WRONGTYPE x')), 'ERR_INTERNAL'));
  const fault = new TypeError('a fault of the code');
  t.equal(asStoreError(fault), fault);
});
