/** Popular MCP servers from npm, pinned, and for each a call that should be answered without an account. */

export interface TriedServer {
  /** Its name in Fairlead's configuration. */
  name: string;
  package: string;
  version: string;
  /** Where the package has several programs. */
  bin?: string;
  args?: string[];
  env?: Record<string, string>;
  /** It needs Node 22 or newer. */
  newerNode?: true;
  /** Why it is not listed on a machine without a network, where that is the server's own way. */
  needs?: string;
  call?: { tool: string; args: Record<string, unknown> };
}

const CHROMIUM = '/usr/bin/chromium';
const NONE = 'none';

export const SERVERS: readonly TriedServer[] = [
  {
    name: 'everything',
    package: '@modelcontextprotocol/server-everything',
    version: '2026.8.31',
    call: { tool: 'echo', args: { message: 'hello' } },
  },
  {
    name: 'filesystem',
    package: '@modelcontextprotocol/server-filesystem',
    version: '2026.8.31',
    args: ['/tmp'],
    call: { tool: 'list_allowed_directories', args: {} },
  },
  {
    name: 'memory',
    package: '@modelcontextprotocol/server-memory',
    version: '2026.8.31',
    call: { tool: 'read_graph', args: {} },
  },
  {
    name: 'thinking',
    package: '@modelcontextprotocol/server-sequential-thinking',
    version: '2026.8.31',
    call: {
      tool: 'sequentialthinking',
      args: { thought: 'one', nextThoughtNeeded: false, thoughtNumber: 1, totalThoughts: 1 },
    },
  },
  {
    name: 'github',
    package: '@modelcontextprotocol/server-github',
    version: '2025.4.8',
    env: { GITHUB_PERSONAL_ACCESS_TOKEN: NONE },
    call: { tool: 'search_repositories', args: { query: 'fairlead' } },
  },
  {
    name: 'chrome',
    package: 'chrome-devtools-mcp',
    version: '1.11.0',
    bin: 'chrome-devtools-mcp',
    args: ['--executablePath', CHROMIUM, '--headless', '--isolated', '--chromeArg=--no-sandbox'],
    call: { tool: 'list_pages', args: {} },
  },
  {
    name: 'playwright',
    package: '@playwright/mcp',
    version: '0.0.83',
    args: ['--executable-path', CHROMIUM, '--headless', '--isolated', '--no-sandbox'],
    call: { tool: 'browser_navigate', args: { url: 'about:blank' } },
  },
  {
    name: 'context7',
    package: '@upstash/context7-mcp',
    version: '4.1.1',
    call: { tool: 'resolve-library-id', args: { query: 'how to route', libraryName: 'express' } },
  },
  {
    name: 'notion',
    package: '@notionhq/notion-mcp-server',
    version: '2.5.2',
    env: { NOTION_TOKEN: NONE },
    call: { tool: 'API-get-self', args: {} },
  },
  {
    name: 'mongodb',
    package: 'mongodb-mcp-server',
    version: '3.0.4',
    env: { MDB_MCP_TELEMETRY: 'disabled' },
    call: { tool: 'list-knowledge-sources', args: {} },
  },
  {
    name: 'commander',
    package: '@wonderwhy-er/desktop-commander',
    version: '0.2.52',
    bin: 'desktop-commander',
    call: { tool: 'list_directory', args: { path: '/tmp', depth: 1 } },
  },
  {
    name: 'chart',
    package: '@antv/mcp-server-chart',
    version: '0.9.10',
    call: { tool: 'generate_pie_chart', args: { data: [{ category: 'a', value: 1 }] } },
  },
  {
    name: 'sentry',
    package: '@sentry/mcp-server',
    version: '0.39.0',
    newerNode: true,
    args: ['--access-token', NONE],
    call: { tool: 'find_organizations', args: {} },
  },
  {
    name: 'gitlab',
    package: '@zereight/mcp-gitlab',
    version: '2.1.64',
    bin: 'mcp-gitlab',
    env: { GITLAB_PERSONAL_ACCESS_TOKEN: NONE },
    call: { tool: 'list_projects', args: {} },
  },
  {
    name: 'ms365',
    package: '@softeria/ms-365-mcp-server',
    version: '0.155.0',
    call: { tool: 'verify-login', args: {} },
  },
  {
    name: 'brave',
    package: '@brave/brave-search-mcp-server',
    version: '2.1.4',
    env: { BRAVE_API_KEY: NONE },
    call: { tool: 'brave_web_search', args: { query: 'fairlead' } },
  },
  {
    name: 'tavily',
    package: 'tavily-mcp',
    version: '0.2.22',
    env: { TAVILY_API_KEY: NONE },
    call: { tool: 'tavily_search', args: { query: 'fairlead' } },
  },
  {
    name: 'exa',
    package: 'exa-mcp-server',
    version: '3.4.1',
    env: { EXA_API_KEY: NONE },
    call: { tool: 'web_search_exa', args: { query: 'fairlead' } },
  },
  {
    name: 'firecrawl',
    package: 'firecrawl-mcp',
    version: '3.26.0',
    newerNode: true,
    env: { FIRECRAWL_API_KEY: NONE },
    call: { tool: 'firecrawl_map', args: { url: 'https://example.com' } },
  },
  {
    name: 'supabase',
    package: '@supabase/mcp-server-supabase',
    version: '0.13.0',
    needs: 'it asks its own service before it answers',
    args: ['--access-token', NONE],
    call: { tool: 'list_projects', args: {} },
  },
  {
    name: 'stripe',
    package: '@stripe/mcp',
    version: '0.3.3',
    needs: 'it asks its own service before it answers',
    args: ['--api-key=rk_test_none'],
  },
  {
    name: 'figma',
    package: 'figma-developer-mcp',
    version: '0.13.2',
    args: ['--stdio', `--figma-api-key=${NONE}`],
    call: { tool: 'get_figma_data', args: { fileKey: 'abc' } },
  },
  {
    name: 'kubernetes',
    package: 'mcp-server-kubernetes',
    version: '4.1.7',
    call: { tool: 'ping', args: {} },
  },
  {
    name: 'apify',
    package: '@apify/actors-mcp-server',
    version: '0.16.0',
    needs: 'it asks its own service before it answers',
    newerNode: true,
    env: { APIFY_TOKEN: NONE },
    call: { tool: 'search-actors', args: { keywords: 'maps' } },
  },
  {
    name: 'elasticsearch',
    package: '@elastic/mcp-server-elasticsearch',
    version: '0.3.1',
    env: { ES_URL: 'http://127.0.0.1:9', ES_API_KEY: NONE },
    call: { tool: 'list_indices', args: { indexPattern: '*' } },
  },
  {
    name: 'mysql',
    package: '@benborla29/mcp-server-mysql',
    version: '2.0.9',
    needs: 'it ends, without a word, when no database has answered for three seconds',
    env: { MYSQL_HOST: '127.0.0.1', MYSQL_PORT: '9', MYSQL_USER: NONE, MYSQL_PASS: NONE, MYSQL_DB: NONE },
    call: { tool: 'mysql_query', args: { sql: 'SELECT 1' } },
  },
];
