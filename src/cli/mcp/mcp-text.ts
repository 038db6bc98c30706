/** Shows MCP servers and their prompts at a terminal; makes all that a server says safe first. Pure. */
import { counted } from '../../shared/counted.js';
import { differenceText } from '../../shared/tool-pins.js';
import type { McpPinReport, McpPrompt, McpServerInfo } from './mcp-api.js';
import type { Colors } from '../report.js';
import { inline } from '../terminal-text.js';

export interface Tested {
  name: string;
  ok: boolean;
  latencyMs?: number;
  era?: string;
  error?: string;
  /** Why the server was not asked. */
  note?: string;
}

/** The table of `fairlead mcp list` and of the chat's /mcp. */
export function serversText(servers: readonly McpServerInfo[], colors: Colors): string {
  if (servers.length === 0) return 'the configuration has no MCP servers\n';
  const rows = servers.map(({ name, kind, state, era = '', latencyMs, tools, leftOut = [], lastError }) => ({
    cells: [
      name,
      kind,
      state,
      era,
      latencyMs === undefined ? '' : `${latencyMs} ms`,
      `${counted(tools.length, 'tool')}${leftOut.length > 0 ? `, ${leftOut.length} left out` : ''}`,
    ],
    state,
    lastError,
  }));
  const widths = rows[0]!.cells.map((_, column) => Math.max(...rows.map(({ cells }) => inline(cells[column]).length)));
  return rows
    .map(({ cells, state, lastError }) => {
      const padded = cells.map((cell, column) => {
        const text = inline(cell).padEnd(widths[column]!);
        return column === 2 ? stateColor(state, colors)(text) : text;
      });
      const error = lastError === undefined ? '' : `\n  ${colors.dim(inline(lastError, 800))}`;
      return `${padded.join('  ').trimEnd()}${error}\n`;
    })
    .join('');
}

export function infoText(info: McpServerInfo, colors: Colors): string {
  const { name, kind, state, era, latencyMs, since, lastError, tools, leftOut = [], resources, prompts } = info;
  const facts = [
    ['kind', kind],
    ['state', stateColor(state, colors)(inline(state))],
    ['since', since === undefined ? '' : new Date(since).toLocaleString()],
    ['era', era ?? ''],
    ['latency', latencyMs === undefined ? '' : `${latencyMs} ms`],
    ['last error', lastError === undefined ? '' : inline(lastError, 800)],
    ['left out', leftOut.map((each) => inline(each, 200)).join('; ')],
    ['also has', [...(resources ? ['resources'] : []), ...(prompts ? ['prompts'] : [])].join(', ')],
  ].filter(([, value]) => value !== '');
  const lines = facts.map(([label, value]) => `  ${label!.padEnd(10)} ${value}`);
  const listed = tools.map(
    (tool) => `  ${colors.bold(inline(tool.name))} ${colors.dim(inline(tool.description, 100))}`,
  );
  return `${[colors.bold(inline(name)), ...lines, `  ${'tools'.padEnd(10)} ${tools.length}`, ...listed].join('\n')}\n`;
}

export function testedText({ name, ok, latencyMs, era, error, note }: Tested, colors: Colors): string {
  const mark = ok ? colors.green('✓') : colors.red('✗');
  const facts = [
    latencyMs === undefined ? '' : `${latencyMs} ms`,
    era ?? '',
    error === undefined ? '' : inline(error, 800),
    note ?? '',
  ];
  return `${mark} ${inline(name)} ${colors.dim(facts.filter(Boolean).join(' · '))}\n`;
}

/** What is pinned, and what differs from it. */
export function pinText(report: McpPinReport, colors: Colors): string {
  const { server, pinnedBy, onChange, tools, differences, missing } = report;
  const name = colors.bold(inline(server));
  if (pinnedBy === undefined) return `${name} is not pinned; it has ${counted(Object.keys(tools).length, 'tool')}\n`;
  const where = pinnedBy === 'configuration' ? 'in the configuration' : 'in the data folder';
  const action = onChange === 'refuse' ? 'refused' : 'asked for, also where a rule allows it';
  const lines = [
    ...differences.map(({ tool, ...how }) => `${inline(tool)}: ${differenceText(how)}`),
    ...missing.map((tool) => `${inline(tool)}: it is gone`),
  ];
  const told = lines.map((line) => `  ${colors.yellow(line)}\n`).join('');
  return `${name} is pinned ${where}; a tool that differs is ${action}\n${told}`;
}

function stateColor(state: string, colors: Colors): (text: string) => string {
  if (state === 'healthy') return colors.green;
  return state === 'down' ? colors.red : colors.yellow;
}

/** The line that sends the prompt, with its arguments. */
export function promptText(
  server: string,
  { name, description = '', arguments: args }: McpPrompt,
  colors: Colors,
): string {
  const wanted = args.map((arg) => (arg.required === true ? inline(arg.name) : `[${inline(arg.name)}]`)).join(' ');
  return `/${inline(server)}:${inline(name)} ${wanted} ${colors.dim(inline(description, 120))}`;
}
