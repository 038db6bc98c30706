import t from 'tap';
import { parseConfig } from '../../../src/shared/config.js';
import { isLimited, quotaError, quotaOf } from '../../../src/shared/quotas.js';

const configOf = (quotas: object, limits: object = {}) => parseConfig({ quotas, limits }, {}, '/tmp');

void t.test('a limit comes from the user, else from the groups, else from the default', async (t) => {
  const config = configOf({
    default: { maxSessions: 10, maxSandboxes: 1 },
    groups: { staff: { maxSessions: 20 } },
    users: { ada: { maxSessions: 3 } },
  });
  t.match(quotaOf(config, { user: 'ada', groups: ['staff'] }), { maxSessions: 3, maxSandboxes: 1 });
  t.match(quotaOf(config, { user: 'bob', groups: ['staff'] }), { maxSessions: 20, maxSandboxes: 1 });
  t.match(quotaOf(config, { user: 'bob', groups: [] }), { maxSessions: 10, maxSandboxes: 1 });
});

void t.test('of several groups the most generous limit holds, and no limit is the most generous', async (t) => {
  const groups = { trial: { maxSessions: 1 }, staff: { maxSessions: 20 }, ops: { maxSessions: 0 }, odd: {} };
  const config = configOf({ default: { maxSessions: 5 }, groups });
  t.equal(quotaOf(config, { user: 'bob', groups: ['trial', 'staff', 'odd'] }).maxSessions, 20);
  t.equal(quotaOf(config, { user: 'bob', groups: ['trial', 'ops'] }).maxSessions, 0);
  t.equal(quotaOf(config, { user: 'bob', groups: ['trial'] }).maxSessions, 1, 'a group may have less than the default');
  t.equal(quotaOf(config, { user: 'bob', groups: ['odd', 'unknown'] }).maxSessions, 5);
});

void t.test('names that every object has are users and groups like others', async (t) => {
  const config = configOf({ default: { maxSessions: 5 } });
  const who = { user: 'constructor', groups: ['toString', '__proto__', 'hasOwnProperty'] };
  t.equal(quotaOf(config, who).maxSessions, 5);
});

void t.test('five turns at once are a person’s, and what nobody has a limit of is not counted', async (t) => {
  const config = configOf({});
  t.equal(quotaOf(config, { user: 'bob', groups: [] }).maxTurns, 5);
  t.equal(quotaOf(configOf({}, { maxInFlight: 9 }), { user: 'bob', groups: [] }).maxTurns, 9);
  t.ok(isLimited(config, 'maxTurns'));
  t.notOk(isLimited(config, 'maxHistoryBytes'));
  t.notOk(isLimited(configOf({ default: { maxTurns: 0 } }), 'maxTurns'));
  t.ok(isLimited(configOf({ default: { maxTurns: 0 }, users: { ada: { maxTurns: 1 } } }), 'maxTurns'));
});

void t.test('a limit is told with its name, its number, what is used and when it resets', async (t) => {
  const error = quotaError({ limit: 'maxMessagesPerMinute', max: 3, used: 3, resetAt: 61_000 }, 1_000);
  t.match(error, { code: 'ERR_QUOTA', retryAfterMs: 60_000 });
  t.match(error.message, /^3 messages a minute .*60 s.*quotas\.maxMessagesPerMinute/);
  t.strictSame(error.details, { limit: 'maxMessagesPerMinute', max: 3, used: 3, resetAt: 61_000 });
  t.strictSame(quotaError({ limit: 'maxSessions', max: 2, used: 2 }).details, {
    limit: 'maxSessions',
    max: 2,
    used: 2,
  });
});

void t.test('a limit that is none is a problem of the configuration, with its path', async (t) => {
  for (const [quotas, path] of [
    [{ default: { maxTurns: -1 } }, 'quotas.default.maxTurns'],
    [{ default: { maxTurns: null } }, 'quotas.default.maxTurns'],
    [{ groups: { staff: { maxTurn: 1 } } }, 'quotas.groups.staff.maxTurn'],
    [{ users: { ada: { maxMessagesPerMinute: 1e9 } } }, 'quotas.users.ada.maxMessagesPerMinute'],
  ] as const) {
    t.throws(() => configOf(quotas), { code: 'ERR_CONFIG', problems: [{ path }] });
  }
});
