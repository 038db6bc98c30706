/** What `fairlead status` prints. Pure. */
import type { ServerStatus } from '../../shared/server-status.js';
import type { Colors } from '../report.js';
import { clean } from '../terminal-text.js';
import type { Seen } from './status.js';
import type { UnitState } from './unit-state.js';

export function statusText(seen: Seen, colors: Colors): string {
  const { state, url, reasons, status, note, service } = seen;
  const { bold, dim, green, red, yellow } = colors;
  const word = state === 'ready' ? green(state) : state === 'not ready' ? yellow(state) : red(state);
  const name = status ? `Fairlead ${status.version}` : 'Fairlead';
  const rows = [
    ...(status ? numbers(status) : []),
    ...(service ? unitRows(service) : []),
    ...(note === undefined ? [] : [['note', note] as Row]),
  ];
  const wrong = [
    ...reasons,
    ...(status?.outages ?? []).map(({ part, since, why }) => `outage of the ${part} since ${since}: ${why}`),
  ];
  const lines = [
    `${bold(name)} is ${bold(word)} ${dim(clean(url))}`,
    ...rows.map(([label, text]) => `  ${dim(label.padEnd(9))} ${clean(text)}`),
    ...(status?.mcpServers ?? []).map(
      (server) =>
        `  ${yellow('!')} ${clean(`MCP server ${server.name}: ${server.state} (fairlead mcp info ${server.name})`)}`,
    ),
    ...wrong.map((text) => `  ${red('✗')} ${clean(text)}`),
    ...(service?.errors ?? []).map((text) => `  ${dim('journal')}   ${clean(text)}`),
    ...(state === 'not running' || state === 'not answering'
      ? [`  ${dim('→')} fairlead doctor; journalctl -u fairlead -p err; docs/troubleshooting.md`]
      : []),
  ];
  return `${lines.join('\n')}\n`;
}

type Row = [label: string, text: string];

function numbers(status: ServerStatus): Row[] {
  const { people, sessions, turns, modelCalls, threads, parts } = status;
  return [
    ['since', `${status.startedAt} (${durationText(status.uptimeMs)}), process ${status.pid}, Node ${status.node}`],
    ['people', `${people.users} with ${people.connections} connections`],
    ['sessions', `${sessions.attached} with somebody, ${sessions.inMemory} at work, ${turns.running} turns running`],
    ['model', `${parts.model}: ${modelCalls.running} requests run, ${modelCalls.waiting} wait`],
    ['sandboxes', `${sandboxesText(status.sandboxes)}; ${status.sandboxLine} wait for one; ${parts.sandbox}`],
    ['store', parts.store],
    ['threads', `${threads.alive} of ${threads.size} agent threads`],
  ];
}

function sandboxesText(sandboxes: ServerStatus['sandboxes']): string {
  const there = sandboxes.filter(({ count }) => count > 0);
  if (there.length === 0) return 'none';
  return there.map(({ server, state, count }) => `${server} ${count} ${state}`).join(', ');
}

function unitRows({ unit, active, result, exitStatus, meaning, endedAt, restarts }: UnitState): Row[] {
  const ended = endedAt === '' ? '' : `, ended ${endedAt}`;
  return [
    ['systemd', `${unit} is ${active}: ${result}, exit status ${exitStatus}${ended}, started again ${restarts} times`],
    ...(meaning === undefined ? [] : [['means', meaning] as Row]),
  ];
}

export function durationText(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.floor(ms / 1_000)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days ${hours % 24} h`;
}
