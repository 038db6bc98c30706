import t from 'tap';
import { checkDocker, dockerRoot } from '../../../../src/cli/doctor/doctor-docker.js';
import { checkDisk } from '../../../../src/cli/doctor/doctor-place.js';
import { parseConfig } from '../../../../src/shared/config.js';
import { dockerHost, WORKSPACE_IMAGE } from '../../../helpers/docker.js';
import { makeOldImage } from '../../../helpers/old-image.js';

t.test('an image of before, whose commands run as its server’s user, is a warning; today’s is none', async (t) => {
  const old = await makeOldImage();
  t.teardown(() => old.remove());
  const mcpServers = { today: { image: WORKSPACE_IMAGE }, old: { image: old.tag } };
  const config = parseConfig({ mcpServers, sandbox: { pool: { min: 0 } } }, { DOCKER_HOST: dockerHost() });
  const findings = await checkDocker(config, new AbortController().signal);
  const of = (image: string): object[] => findings.filter(({ detail }) => detail.split(' ').includes(image));
  t.match(of(WORKSPACE_IMAGE), [{ status: 'ok' }]);
  t.match(of(old.tag), [{ status: 'warning', hint: /npm run image/ }]);
});

t.test('the disk of Docker’s own folder is judged, too, where Docker is of this machine', async (t) => {
  const { signal } = new AbortController();
  const rootOf = (host: string, file: object = {}) => dockerRoot(parseConfig(file, { DOCKER_HOST: host }), signal);
  const root = await rootOf(dockerHost());
  t.match(root, /^\//);
  const config = parseConfig({}, { FAIRLEAD_DATA: t.testdir() });
  t.match(await checkDisk(config, root), [
    { detail: /data folder/ },
    { detail: new RegExp(`free for Docker \\(${root}\\)$`) },
  ]);
  t.equal(await rootOf('tcp://127.0.0.1:1'), undefined, 'another machine’s is not seen');
  t.equal(await rootOf('unix:///nowhere/docker.sock'), undefined);
  t.equal(await rootOf(dockerHost(), { sandbox: { driver: 'process' } }), undefined);
});
