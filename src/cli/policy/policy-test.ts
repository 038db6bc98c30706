/** `fairlead policy test`: what would become of a call, and which rule says so. Offline, with the rules that the server runs. Command line's process. */
import type { Config } from '../../shared/config.js';
import { FairleadError } from '../../shared/errors.js';
import { noSuchServer, seesServer } from '../../shared/kept-for-groups.js';
import { toolFilter } from '../../shared/name-globs.js';
import { NO_STANDING, sameStanding, type Role, type Standing, USER_NAME, USER_NAME_RULE } from '../../shared/person.js';
import { BUILT_IN } from '../../shared/policy/built-in-tools.js';
import { createRules, type Action, type CheckArgs, type Mismatch } from '../../shared/policy/policy.js';
import type { Pins } from '../../shared/tool-pins.js';
import type { Colors } from '../report.js';
import { inline } from '../terminal-text.js';

export interface PolicyQuestion {
  user: string;
  role?: Role;
  groups?: string[];
  server: string;
  tool: string;
  args: Record<string, unknown>;
  /** The tool says that it only reads. */
  readOnly: boolean;
}

export interface PolicyAnswer {
  action: Action;
  /** Index in `approvals.rules`; absent where no rule decides. */
  rule?: number;
  /** What decides: `approvals.rules.N`, `approvals.default`, `mcpServers.X.groups`, … */
  by: string;
  user: string;
  role: Role;
  groups: readonly string[];
  /** Of a server that is pinned: whether its pins name the tool. Whether it has changed since, the running server alone knows. */
  pin?: 'named' | 'new';
  /** The rules that were looked at, in their order. */
  looked: { rule: number; matches: boolean; why?: Mismatch }[];
}

type PolicyConfig = Pick<Config, 'approvals' | 'mcpServers' | 'auth' | 'mcp'>;

/** ERR_NOT_FOUND for a server that the configuration lacks, ERR_CONFIG for a user whom there cannot be. */
export async function testPolicy(
  config: PolicyConfig,
  question: PolicyQuestion,
  checkArgs: CheckArgs,
  /** Those of the data folder. */
  filed: Pins = {},
): Promise<PolicyAnswer> {
  const { user, server, tool, args, readOnly } = question;
  const { mcpServers } = config;
  if (!USER_NAME.test(user)) throw new FairleadError('ERR_CONFIG', `--user ${user}: ${USER_NAME_RULE}`);
  const who = standingFor(config, question);
  const looked: PolicyAnswer['looked'] = [];
  const pin = pinOf({ ...filed, ...config.mcp.pins.servers }, question);
  const about = { user, ...who, ...(pin && { pin }), looked };
  if (server !== BUILT_IN) {
    if (!Object.hasOwn(mcpServers, server)) throw noSuchServer(server);
    if (!seesServer(mcpServers, server, who)) return { action: 'deny', by: `mcpServers.${server}.groups`, ...about };
    if (!toolFilter(mcpServers[server]!.tools)(tool))
      return { action: 'deny', by: `mcpServers.${server}.tools`, ...about };
  }
  if (pin === 'new' && config.mcp.pins.onChange === 'refuse') return { action: 'deny', by: PINNED, ...about };
  const { action, by } = await createRules(config, checkArgs).decide(
    { server, tool, readOnly, args },
    { user, who },
    (rule, why) => looked.push({ rule, matches: why === undefined, ...(why && { why }) }),
  );
  if (pin === 'new' && action === 'allow') return { action: 'ask', by: PINNED, ...about };
  if (typeof by === 'object') return { action, rule: by.rule, by: `approvals.rules.${by.rule}`, ...about };
  return { action, by: by === 'default' ? 'approvals.default' : 'it changes nothing and reaches no server', ...about };
}

const PINNED = 'mcp.pins';

function pinOf(pins: Pins, { server, tool }: PolicyQuestion): PolicyAnswer['pin'] {
  if (!Object.hasOwn(pins, server)) return undefined;
  return Object.hasOwn(pins[server]!, tool) ? 'named' : 'new';
}

/** What the command line says, else what the configuration's tokens of this user say. ERR_CONFIG where these differ. */
function standingFor({ auth }: PolicyConfig, { user, role, groups }: PolicyQuestion): Standing {
  if (role !== undefined || groups !== undefined) return { role: role ?? 'user', groups: groups ?? [] };
  const mine = auth.tokens.filter((token) => token.user === user);
  const [first = NO_STANDING] = mine;
  if (!mine.every((token) => sameStanding(token, first))) {
    const told = `the tokens of ${user} in auth.tokens have several roles or groups: say which with --role and --group`;
    throw new FairleadError('ERR_CONFIG', told);
  }
  return { role: first.role, groups: first.groups };
}

const WHY: Readonly<Record<Mismatch, string>> = {
  server: 'for another server',
  tool: 'for another tool',
  user: 'for another user',
  group: 'for another group',
  role: 'for another role',
  readOnly: 'readOnly does not hold, or the server is not believed (trustHints)',
  args: 'the arguments do not fit its args',
  'args-unknown': 'its args cannot be checked in time: the stricter outcome holds',
};

const PIN_TEXT: Readonly<Record<NonNullable<PolicyAnswer['pin']>, string>> = {
  named:
    'its server is pinned: when the tool has changed since, it is asked for or denied (mcp.pins.onChange; see fairlead mcp pin SERVER --look)',
  new: 'its server is pinned, and the pins do not name this tool',
};

export function policyText(answer: PolicyAnswer, colors: Colors): string {
  const { action, by, user, role, groups, looked, pin } = answer;
  const color = { allow: colors.green, ask: colors.yellow, deny: colors.red }[action];
  const lines = looked.map(({ rule, why }) => `  rules.${rule}  ${why === undefined ? 'matches' : `no: ${WHY[why]}`}`);
  return [
    `${color(action)}: ${inline(by)}`,
    `  ${inline(user)}, role ${role}, ${groups.length > 0 ? `groups ${inline(groups.join(', '), 1_000)}` : 'no groups'}`,
    ...lines,
    ...(pin === undefined ? [] : [`  ${PIN_TEXT[pin]}`]),
    '',
  ].join('\n');
}
