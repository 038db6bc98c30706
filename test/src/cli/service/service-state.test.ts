import t from 'tap';
import { describeState, parseState, waitForState } from '../../../../src/cli/service/service-state.js';

function shown(values: Record<string, string>): string {
  const usual = {
    LoadState: 'loaded',
    ActiveState: 'active',
    SubState: 'running',
    UnitFileState: 'enabled',
    Result: 'success',
  };
  return Object.entries({ ...usual, ExecMainStatus: '0', ...values })
    .map((pair) => pair.join('='))
    .join('\n');
}

t.test('ready, with the version of the process that runs; an older release’s words count, too', async (t) => {
  const state = parseState(shown({ StatusText: 'Fairlead 1.2.3: ready at http://127.0.0.1:3000' }));
  t.match(state, {
    active: true,
    ready: true,
    version: '1.2.3',
    status: 'ready at http://127.0.0.1:3000',
    over: false,
  });
  t.match(parseState(shown({ StatusText: 'ready at http://x' })), { ready: true, version: undefined });
  const waits = parseState(shown({ StatusText: 'Fairlead 1.2.3: not ready: the store does not answer, a=b' }));
  t.match(waits, { active: true, ready: false, status: 'not ready: the store does not answer, a=b' });
  t.match(describeState(waits), /Fairlead 1\.2\.3 runs .*not ready: the store/);
});

t.test('a wrong configuration and a stop are over, a failed start is not: systemd tries it again', async (t) => {
  const wrong = parseState(
    shown({ ActiveState: 'failed', SubState: 'failed', Result: 'exit-code', ExecMainStatus: '78' }),
  );
  t.ok(wrong.over);
  t.match(describeState(wrong), 'its configuration is wrong');
  const stopped = parseState(shown({ ActiveState: 'inactive', SubState: 'dead' }));
  t.ok(stopped.over);
  t.match(describeState(stopped), 'it was stopped');
  const again = parseState(
    shown({ ActiveState: 'activating', SubState: 'auto-restart', Result: 'exit-code', ExecMainStatus: '1' }),
  );
  t.notOk(again.over);
  t.match(describeState(again), 'exit code 1; systemd tries again');
  const once = parseState(shown({ ActiveState: 'activating', SubState: 'start', NRestarts: '2' }));
  t.notOk(once.over);
  t.match(describeState(once), 'is being started, and was tried 3 times');
  t.match(describeState(parseState(shown({ LoadState: 'not-found', ActiveState: 'inactive' }))), 'not installed');
});

/** The answers one after the other; the last one for ever. */
const asking = (all: string[]) => async () =>
  parseState(shown({ StatusText: all.length > 1 ? (all.shift() ?? '') : (all[0] ?? '') }));

t.test('the wait ends when it is as wanted, and not before the wanted version is', async (t) => {
  const states = [
    'Fairlead 1: ready at x',
    'Fairlead 2: starting',
    'Fairlead 2: not ready: y',
    'Fairlead 2: ready at x',
  ];
  const wanted = { timeoutMs: 60_000, version: '2' };
  const found = await waitForState(wanted, asking([...states]));
  t.match(found, { fits: true, state: { version: '2', ready: true } });
  const runs = await waitForState({ ...wanted, running: true }, asking([...states]));
  t.match(runs, { fits: true, state: { status: 'starting' } }, 'running is enough');
  t.match(await waitForState({ timeoutMs: 0, version: '2' }, asking(states.slice(0, 1))), { fits: false });
});
