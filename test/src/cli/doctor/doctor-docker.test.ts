import t from 'tap';
import { checkDocker } from '../../../../src/cli/doctor/doctor-docker.js';
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
