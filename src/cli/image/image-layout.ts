/** Where what lies in the sandbox image, and how its two processes start; the Dockerfile says the same. Command line's process. */
import { LABEL_RUNNER, LABEL_VERSION } from '../../shared/docker-client.js';
import { VERSION } from '../../shared/version.js';

export const ENTRY_FILE = 'workspace.cjs';
export const RUNNER_FILE = 'runner.cjs';
/** Loaded when a client speaks the newer protocol. */
export const SDK_FILE = 'newer-era.js';
/** Loaded where there is no runner. */
export const TOOLS_FILE = 'in-process.js';

export const SERVER_FOLDER = '/opt/fairlead';
/**
 * A copy of the dynamic loader that may be run and not read (mode 0711). The kernel protects a process that runs an unreadable
 * program from others of its own user: no ptrace, no /proc/PID/mem, environ or fd. Users' own `node` starts as usual.
 */
export const LOADER = `${SERVER_FOLDER}/ld`;
/** A link to the image's node. */
export const NODE = `${SERVER_FOLDER}/node`;
/** The image's own accounts; the sandbox's are added when it starts, see workers/workspace/accounts.ts. */
export const ACCOUNTS_FOLDER = `${SERVER_FOLDER}/accounts`;
export const RUN_FOLDER = '/run/fairlead';

const PROGRAM = [
  LOADER,
  NODE,
  // SIGUSR1 opens the inspector at an address that no interface has (RFC 5737), so it does not open.
  '--inspect-port=192.0.2.1:9229',
  // Four threads in place of seven: they count for sandbox.pids.
  '--v8-pool-size=0',
];

export const ENTRYPOINT = [...PROGRAM, `${SERVER_FOLDER}/${ENTRY_FILE}`];
export const LABELS = {
  [LABEL_VERSION]: VERSION,
  [LABEL_RUNNER]: JSON.stringify({ entrypoint: ENTRYPOINT, runner: [...PROGRAM, `${SERVER_FOLDER}/${RUNNER_FILE}`] }),
};
