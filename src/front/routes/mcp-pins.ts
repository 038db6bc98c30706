/** Routes of /v1/admin/mcp/…: the pinned tool definitions of MCP servers. Main thread. */
import { audit, auditedAs } from '../../shared/audit.js';
import { noBody } from '../frames.js';
import { del, get, post, type Route, type RouteCall } from '../router.js';

type Asker = Pick<RouteCall, 'user' | 'who'>;

interface Report {
  tools: object;
}

export interface PinRoutesOptions {
  read(server: string, asker: Asker): Promise<Report>;
  pin(server: string, asker: Asker): Promise<Report>;
  unpin(server: string, asker: Asker): Promise<Report>;
}

const PATH = '/v1/admin/mcp/:server/pins';

export function pinRoutes(pins: PinRoutesOptions): Route[] {
  const admin = { access: 'admin' } as const;
  const change = async ({ exchange, user, who, params }: RouteCall, act: 'pin' | 'unpin'): Promise<void> => {
    const server = params['server']!;
    const report = await pins[act](server, { user, who });
    const tools = Object.keys(report.tools).length;
    audit({ what: 'tool_pinned', ...auditedAs(user, who), about: { server, act, tools } });
    exchange.json(200, report);
  };
  return [
    get(
      PATH,
      async ({ exchange, params, user, who }) => exchange.json(200, await pins.read(params['server']!, { user, who })),
      admin,
    ),
    post(PATH, noBody, (call) => change(call, 'pin'), admin),
    del(PATH, (call) => change(call, 'unpin'), admin),
  ];
}
