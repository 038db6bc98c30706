import t from 'tap';
import { lacks } from '../../../../src/cli/doctor/doctor-docker.js';
import { checkSandbox } from '../../../../src/cli/doctor/doctor-sandbox.js';
import { parseConfig, type Config } from '../../../../src/shared/config.js';
import { docker, dockerHost, WORKSPACE_IMAGE } from '../../../helpers/docker.js';
import { makeTinyImage } from '../../../helpers/tiny-image.js';

function configOf(image: string, sandbox: object = {}): Config {
  return parseConfig({ mcpServers: { it: { image } }, sandbox }, { DOCKER_HOST: dockerHost() });
}

const { signal } = new AbortController();

async function leftovers(): Promise<number> {
  const all = await docker().listContainers({ all: true });
  return all.filter(({ Names }) => Names.some((name) => name.startsWith('/fairlead-doctor-'))).length;
}

t.test('one container of the image is started, a command is run in it, and nothing is left', async (t) => {
  t.match(await checkSandbox(configOf(WORKSPACE_IMAGE), signal), [
    { status: 'ok', detail: /starts in \d+ ms, and runs a command/ },
  ]);
  t.equal(await leftovers(), 0);
});

t.test('a program that ends at once is a cross with its last words', async (t) => {
  const image = await makeTinyImage('echo no licence >&2; exit 7');
  t.teardown(() => image.remove());
  t.match(await checkSandbox(configOf(image.tag), signal), [
    { status: 'failed', detail: /ended at once, with 7.*no licence/ },
  ]);
  t.equal(await leftovers(), 0);
});

t.test('an image that is not there, and a sandbox that is a process, are told elsewhere', async (t) => {
  t.same(await checkSandbox(configOf('fairlead-test-nowhere:1'), signal), []);
  const process_ = parseConfig({ sandbox: { driver: 'process' } }, {});
  t.same(await checkSandbox(process_, signal), []);
});

t.test('what the daemon lacks is told with what to do', (t) => {
  const { sandbox } = parseConfig({ sandbox: { cgroupParent: 'system-fairlead_sandboxes.slice' } }, {});
  const info = {
    LiveRestoreEnabled: false,
    LoggingDriver: 'json-file',
    CgroupVersion: '1',
    CgroupDriver: 'cgroupfs',
    Driver: 'vfs',
    SecurityOptions: ['name=seccomp,profile=builtin'],
  };
  t.match(lacks({ sandbox }, info), [
    { status: 'warning', detail: /live-restore/, hint: /daemon\.json/ },
    { status: 'warning', detail: /json-file/ },
    { status: 'warning', detail: /cgroup v1/ },
    { status: 'failed', detail: /cgroupfs/ },
    { status: 'warning', detail: /vfs/ },
    { status: 'ok', detail: /userns-remap/ },
  ]);
  const good = {
    LiveRestoreEnabled: true,
    LoggingDriver: 'local',
    CgroupVersion: '2',
    CgroupDriver: 'systemd',
    Driver: 'overlay2',
  };
  t.same(lacks({ sandbox }, good), []);
  t.end();
});
