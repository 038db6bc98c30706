import t from 'tap';
import { parseConfig } from '../../../src/shared/config.js';

t.test('a sink of the audit log that can never do what is asked of it is refused at the start', (t) => {
  const wrong: [audit: object, message: RegExp][] = [
    [{ http: { required: true } }, /audit\.http\.required: is true, but audit\.http\.url is empty/],
    [{ syslog: { required: true } }, /audit\.syslog\.required: is true, but audit\.syslog\.url is empty/],
    [{ syslog: { url: 'udp://log.test:514', required: true } }, /UDP confirms nothing/],
    [{ enabled: false, syslog: { url: 'tcp://log.test:601' } }, /audit\.enabled is false/],
    [{ http: { url: 'http://log.test/in', authorization: 'Bearer x' } }, /audit\.http\.url: must be https/],
  ];
  for (const [audit, message] of wrong) t.throws(() => parseConfig({ audit }, {}), { code: 'ERR_CONFIG', message });
  const good = [
    { syslog: { url: 'udp://log.test:514' } },
    { syslog: { url: 'tcp://log.test:601', required: true } },
    { http: { url: 'http://127.0.0.1:9/in', authorization: 'Bearer x', required: true } },
    { http: { url: 'http://log.test/in' } },
    { enabled: false },
  ];
  for (const audit of good) t.doesNotThrow(() => parseConfig({ audit }, {}), JSON.stringify(audit));
  t.end();
});
