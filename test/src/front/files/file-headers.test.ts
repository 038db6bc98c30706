import t from 'tap';
import { disposition, downloadHeaders, namesVersion, rangeOf } from '../../../../src/front/files/file-headers.js';
import { expected } from '../../../../src/front/files/upload.js';

t.test('a range is taken as RFC 9110 says, and what is none is ignored', async (t) => {
  const cases: [string, unknown][] = [
    ['bytes=0-0', { from: 0, length: 1 }],
    ['bytes=2-', { from: 2, length: 8 }],
    ['bytes=2-99', { from: 2, length: 8 }],
    ['bytes=-3', { from: 7, length: 3 }],
    ['bytes=-99', { from: 0, length: 10 }],
    ['bytes=10-', 'none'],
    ['bytes=-0', 'none'],
    ['bytes=5-2', 'whole'],
    ['bytes=0-1,3-4', 'whole'],
    ['bytes=a-b', 'whole'],
    ['lines=0-1', 'whole'],
    ['bytes=-', 'whole'],
    ['bytes=99999999999999999999-', 'whole'],
  ];
  for (const [header, part] of cases) t.same(rangeOf(header, 10), part, header);
  t.equal(rangeOf('bytes=0-', 0), 'none');
});

t.test('a tag names the version that it was made of, also after that came out of a save', async (t) => {
  const live = '10.1700000000.123456789.5';
  t.ok(namesVersion(`"${live}"`, live));
  t.ok(namesVersion(`"x", W/"${live}"`, live));
  t.ok(namesVersion(`"${live}"`, '10.1700000000.0.99'), 'its nanoseconds are lost in the save');
  t.ok(namesVersion('"10.1700000000.0.0"', '10.1700000000.0.99'), 'read in the save, then restored');
  t.notOk(namesVersion('"10.1700000000.0.0"', live), 'changed in the same second');
  t.notOk(namesVersion(`"${live}"`, '11.1700000000.0.99'));
  t.notOk(namesVersion(`"${live}"`, '10.1700000001.0.99'));
  t.notOk(namesVersion('', live));
});

t.test('the conditions of an upload say what must be there at its end', async (t) => {
  const none = { range: '', ifRange: '', ifMatch: '', ifNoneMatch: '' };
  const stat = { type: 'file', size: 1, mtimeMs: 0, version: '1.2.3.4' } as const;
  t.equal(expected(none, undefined), undefined);
  t.equal(expected(none, stat), undefined);
  t.equal(expected({ ...none, ifNoneMatch: '*' }, undefined), 'absent');
  t.throws(() => expected({ ...none, ifNoneMatch: '*' }, stat), { code: 'ERR_FILE_CHANGED' });
  t.throws(() => expected({ ...none, ifNoneMatch: '"x"' }, stat), { code: 'ERR_BAD_FRAME' });
  t.equal(expected({ ...none, ifMatch: '"1.2.3.4"' }, stat), '1.2.3.4');
  t.equal(expected({ ...none, ifMatch: '*' }, stat), '1.2.3.4');
  t.throws(() => expected({ ...none, ifMatch: '*' }, undefined), { code: 'ERR_FILE_CHANGED' });
  t.throws(() => expected({ ...none, ifMatch: '"1.2.3.5"' }, stat), { code: 'ERR_FILE_CHANGED' });
});

t.test('a download is saved under its name, without what ends a line, hides or turns text around', async (t) => {
  t.equal(disposition('notes.txt'), `attachment; filename="notes.txt"; filename*=UTF-8''notes.txt`);
  t.equal(
    disposition('ünï 文.txt'),
    `attachment; filename="_n_ _.txt"; filename*=UTF-8''%C3%BCn%C3%AF%20%E6%96%87.txt`,
  );
  for (const name of ['a\r\nSet-Cookie: x', 'a"; filename=evil.exe', 'a\u202Egnp.exe', '\ud800', '\0', '"bad\\xff"']) {
    t.notMatch(disposition(name), /[\r\n\0\\\u202E]/, JSON.stringify(name));
    t.match(disposition(name), /^attachment; filename="[^"]*"; filename\*=UTF-8''[\w%.!~-]*$/, JSON.stringify(name));
  }
});

t.test('what a browser would run is bytes to it, and nothing of a file runs or loads', async (t) => {
  for (const path of ['a.html', 'a.svg', 'a.xml', 'a.js', 'a.xhtml', 'a', 'a.constructor', 'a.HTML']) {
    const headers = new Map(downloadHeaders(`folder/${path}`));
    t.equal(headers.get('Content-Type'), 'application/octet-stream', path);
    t.equal(headers.get('Content-Security-Policy'), "sandbox; default-src 'none'");
    t.match(headers.get('Content-Disposition'), /^attachment; /);
  }
  t.equal(new Map(downloadHeaders('x/a.PNG')).get('Content-Type'), 'image/png');
});
