import t from 'tap';
import { parseConfig } from '../../../../src/shared/config.js';
import { FairleadError } from '../../../../src/shared/errors.js';
import { standingOf } from '../../../../src/shared/person.js';
import { chooseImage, imageNote, offeredImages } from '../../../../workers/agent/turn/choose-image.js';

const { images } = parseConfig(
  {
    images: {
      full: { image: 'fairlead/workspace:full', description: 'Python and more', default: true },
      lab: { image: 'acme/lab', groups: ['lab'] },
    },
  },
  { ANTHROPIC_API_KEY: 'x' },
);
const nobody = standingOf(undefined);
const member = standingOf({ role: 'user', groups: ['lab'] });

t.test('a session gets the image that it names, else the default one', (t) => {
  t.equal(chooseImage(images, nobody, undefined), 'full');
  t.equal(chooseImage(images, nobody, 'full'), 'full');
  t.equal(chooseImage(images, member, 'lab'), 'lab');
  t.equal(chooseImage({}, member, undefined), undefined);
  t.end();
});

t.test('an image that is not there is refused as one that is kept for others, with those that there are', (t) => {
  for (const name of ['lab', 'nothing', 'constructor', '__proto__']) {
    t.throws(
      () => chooseImage(images, nobody, name),
      new FairleadError('ERR_BAD_FRAME', `image: "${name}" is not one that this user may choose; there are full`),
    );
  }
  t.throws(() => chooseImage({}, nobody, 'full'), { message: /there is none to choose/ });
  t.end();
});

t.test('users are offered what they may choose, and the model is told what it has', (t) => {
  const full = { name: 'full', description: 'Python and more', default: true };
  t.same(offeredImages(images, nobody), [full]);
  t.same(offeredImages(images, member), [full, { name: 'lab', description: '', default: false }]);
  t.equal(imageNote(images, 'full'), "The image of this session's sandbox is full: Python and more");
  for (const name of ['lab', 'gone', undefined]) t.equal(imageNote(images, name), '');
  t.end();
});
