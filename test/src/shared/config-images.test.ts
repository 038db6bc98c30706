import t from 'tap';
import { changedImages, limitsOf, largestWorkspaceMb, serverWithImages } from '../../../src/shared/config-images.js';
import { ConfigError, parseConfig, type Config } from '../../../src/shared/config.js';

const env = { ANTHROPIC_API_KEY: 'x' };

function config(json: object): Config {
  return parseConfig(json, env);
}

function problems(json: object): string[] {
  try {
    config(json);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
}

t.test('an image has the limits of `sandbox` where it says nothing, and memory for its own folders', (t) => {
  const { images, sandbox } = config({
    sandbox: { memoryMb: 2_000, cpus: 2 },
    images: {
      plain: { image: 'a' },
      own: { image: 'a', pids: 64, workspaceMb: 2_048 },
      said: { image: 'a', memoryMb: 1_500 },
    },
  });
  t.match(limitsOf(images['plain']!, sandbox), { memoryMb: 2_000, cpus: 2, pids: 256, workspaceMb: 512 });
  const own = limitsOf(images['own']!, sandbox);
  t.match(own, { cpus: 2, pids: 64, workspaceMb: 2_048, tmpMb: 64 });
  t.ok(own.memoryMb > 2_048 + 512, 'full folders leave room for programs');
  t.equal(limitsOf(images['said']!, sandbox).memoryMb, 1_500);
  t.equal(largestWorkspaceMb(images, sandbox), 2_048, 'saves take the largest');
  t.match(images['plain']!.pool, { min: 1, max: 20 });
  t.end();
});

t.test('what cannot be chosen, or not be started, is a problem of the configuration', (t) => {
  t.same(problems({ images: { full: { image: 'a', description: 'b', default: true } } }), []);
  t.match(problems({ images: { a: { image: 'a', default: true }, b: { image: 'b', default: true } } }), [
    /^images: has more than one default: a, b$/,
  ]);
  t.match(problems({ mcpServers: {}, images: { a: { image: 'a' } } }), [/^images: needs an `image` server/]);
  const shared = { workspace: { image: 'a', scope: 'shared' } };
  t.match(problems({ mcpServers: shared, images: { a: { image: 'a' } } }), [/^images: needs an `image` server/]);
  t.match(problems({ images: { a: { image: 'a', memoryMb: 100 } } }), [/^images\.a\.memoryMb: is 100/]);
  t.match(problems({ images: { a: { image: 'a', pool: { min: 3, max: 2 } } } }), [/^images\.a\.pool\.min: is 3/]);
  t.match(problems({ images: { a: { image: 'a', pool: { min: 20 } } }, sandbox: { budget: { containers: 25 } } }), [
    /^sandbox\.budget\.containers: is 25, less than the 30/,
  ]);
  t.match(problems({ images: { 'a b': { image: 'a' } } }), [/^images\.a b: /]);
  t.match(problems({ images: { a: { image: 'a', volume: '/' } } }), [/^images\.a\.volume: is not a key/]);
  t.end();
});

t.test('images that are gone or made in another way are told from those that are only described anew', (t) => {
  const before = config({ images: { a: { image: 'a' }, b: { image: 'b' }, c: { image: 'c' }, d: { image: 'd' } } });
  const after = config({
    images: {
      a: { image: 'a', description: 'new', pool: { min: 0 } },
      b: { image: 'b:2' },
      c: { image: 'c', pids: 9 },
    },
  });
  t.same(changedImages(before.images, after.images), ['b', 'c', 'd']);
  t.end();
});

t.test('the image is that of the first server which is a session’s own', (t) => {
  const { mcpServers } = config({
    mcpServers: { all: { image: 'a', scope: 'shared' }, own: { image: 'b' }, other: { image: 'c' } },
  });
  t.equal(serverWithImages(mcpServers)?.[0], 'own');
  t.end();
});
