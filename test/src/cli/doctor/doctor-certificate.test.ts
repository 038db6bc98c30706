import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import t from 'tap';
import { checkCertificate, judgeCertificate } from '../../../../src/cli/doctor/doctor-certificate.js';
import type { Finding } from '../../../../src/cli/doctor/doctor.js';
import { parseConfig } from '../../../../src/shared/config.js';
import { CERTIFICATE, KEY } from '../../../helpers/certificate.js';
import { freePort } from '../../../helpers/processes.js';

const NOW = Date.parse('2026-11-30T00:00:00Z');
const configOf = (publicUrl: string) => ({ ...parseConfig({}, {}), mcp: { ...parseConfig({}, {}).mcp, publicUrl } });

t.test('the certificate at the public address is looked at as a client would', async (t) => {
  const server = createServer({ key: KEY, cert: CERTIFICATE }).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.match(await checkCertificate(configOf(`https://127.0.0.1:${port}`)), [
    { status: 'failed', detail: /clients refuse the certificate/, hint: /NODE_EXTRA_CA_CERTS|name of mcp\.publicUrl/ },
  ]);
  t.match(await checkCertificate(configOf(`https://127.0.0.1:${await freePort()}`)), [
    { status: 'warning', detail: /no TLS at .*ECONNREFUSED/ },
  ]);
  t.same(await checkCertificate(configOf('http://127.0.0.1')), []);
});

/** What is said of a certificate that ends on that day. */
function judge(problem: string | undefined, ends: string): Finding {
  return judgeCertificate('ai.example:443', { problem, endsAt: Date.parse(ends) }, NOW);
}

t.test('a certificate that has ended, ends soon or has another name is told with what to do', (t) => {
  t.match(judge('CERT_HAS_EXPIRED', '2026-11-01'), { status: 'failed', detail: /ended on 2026-11-01/, hint: /renew/ });
  t.match(judge(undefined, '2026-12-05'), { status: 'warning', detail: /ends in 5 days/ });
  t.match(judge('ERR_TLS_CERT_ALTNAME_INVALID', '2027-11-01'), { status: 'failed', hint: /mcp\.publicUrl/ });
  t.match(judge('DEPTH_ZERO_SELF_SIGNED_CERT', '2027-11-01'), { status: 'failed', hint: /NODE_EXTRA_CA_CERTS/ });
  t.match(judge(undefined, '2027-11-01'), { status: 'ok', detail: /until 2027-11-01/ });
  t.end();
});

t.test('the files of listen.tls are read as the start reads them', async (t) => {
  const folder = t.testdir({ 'cert.pem': CERTIFICATE, 'key.pem': KEY, 'broken.pem': 'x' });
  chmodSync(`${folder}/key.pem`, 0o600);
  const check = (cert: string, host: string) =>
    checkCertificate(
      parseConfig({ listen: { tls: { cert: `${folder}/${cert}`, key: `${folder}/key.pem` }, hosts: [host] } }, {}),
    );
  t.match(await check('cert.pem', 'mcp.example'), [{ status: 'ok', detail: /mcp\.example, until 2126/ }]);
  t.match(await check('cert.pem', 'other.example'), [{ status: 'warning', detail: /is not for other\.example/ }]);
  t.match(await check('broken.pem', 'mcp.example'), [{ status: 'failed', detail: /no certificate in PEM/ }]);
});
