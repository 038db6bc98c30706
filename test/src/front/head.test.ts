import t from 'tap';
import { headProblem } from '../../../src/front/head.js';

function problemOf(...headers: [string, string][]): string | undefined {
  return headProblem((visit) => headers.forEach(([name, value]) => visit(name, value)));
}

t.test('a head that every reader understands alike passes', async (t) => {
  t.equal(problemOf(['host', 'a'], ['content-length', '0'], ['accept', 'x'], ['accept', 'y']), undefined);
  t.equal(problemOf(['host', 'a'], ['transfer-encoding', 'Chunked']), undefined);
});

t.test('a header that decides who asks, for what or how long, comes once', async (t) => {
  for (const name of ['host', 'content-length', 'transfer-encoding', 'authorization', 'origin']) {
    const value = name === 'transfer-encoding' ? 'chunked' : '1';
    t.equal(problemOf([name, value]), undefined);
    t.equal(problemOf([name, value], [name, value]), `the header ${name} comes twice`);
  }
});

t.test('the length of a body has one meaning', async (t) => {
  for (const length of ['', '-1', '+1', '1.0', '0x1', '1, 1', 'x']) {
    t.equal(problemOf(['content-length', length]), 'the content-length is no number', length);
  }
  for (const coding of ['', 'gzip', 'gzip, chunked', 'xchunked', 'identity']) {
    t.match(problemOf(['transfer-encoding', coding]), 'the only transfer-encoding', coding);
  }
  t.match(problemOf(['content-length', '1'], ['transfer-encoding', 'chunked']), 'not both');
});
