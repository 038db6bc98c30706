import t from 'tap';
import { redisAddress, redisUrlProblem } from '../../../src/shared/redis-url.js';

t.test('an address is shown without user and password', async (t) => {
  for (const [url, address] of [
    ['redis://127.0.0.1:6379', 'redis://127.0.0.1:6379'],
    ['rediss://someone:s3cret@cache.example.org:1/2', 'rediss://cache.example.org:1/2'],
    ['redis://:s3cr%23t@[::1]:6379', 'redis://[::1]:6379'],
    ['redis://:s3@cret@h', 'redis://h'],
    ['redis://h/', 'redis://h/'],
    ['redis://h:1?family=0', 'redis://h:1'],
  ] as const) {
    t.equal(redisUrlProblem(url), undefined, url);
    t.equal(redisAddress(url), address);
  }
});

t.test('what ends the address inside of a password is a problem that shows nothing of it', async (t) => {
  for (const [url, hint] of [
    ['redis://:12#s3cret@h', '%23'],
    ['redis://user:12#s3cret@h:6379/0', '%23'],
    ['redis://s3cret#word@h', '%23'],
    ['redis://user:s3cret#word', '%23'],
    ['redis://user:12/s3cret@h', '%2F'],
    ['redis://user:12?s3cret@h', '%3F'],
    ['redis://user:1?s3#cret@h', '%3F'],
    ['redis://a:s3cret%zz@h', '%25'],
    ['redis://a:s3cret@:bad', 'is not a URL'],
    ['redis://a:s3cret@h/db', 'database'],
    ['http://a:s3cret@h', 'redis://'],
    ['s3cret', 'redis://'],
  ] as const) {
    const problem = redisUrlProblem(url);
    t.match(problem, hint, url);
    t.notMatch(problem, /s3|cret|12/, url);
  }
});
