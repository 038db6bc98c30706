/** What each route does and answers: the part of its description that the route itself does not say. */
import { ADMINISTRATION } from './admin-operations.js';
import * as answers from './answer-schemas.js';
import { bytes, CURSOR, DAYS, GONE, HISTORY, html, ok, PAGE, SAME, type Operation } from './operation.js';

const SESSION = { session: 'The session to ask for; a server in a sandbox needs it' };
const SERVER = { server: 'The MCP server whose workspace is meant; absent: the first of the configuration' };

function cached(operation: Operation): Operation {
  return { ...operation, answers: { ...operation.answers, ...SAME } };
}

const SESSIONS: Record<string, Operation> = {
  'POST /v1/sessions': {
    tag: 'Sessions',
    summary: 'Make a session',
    answers: { 201: { words: 'It is there', schema: answers.madeSession } },
  },
  'GET /v1/images': {
    tag: 'Sessions',
    summary: 'List the images of the sandbox that a session may choose',
    answers: ok('Those that this user may choose', answers.images),
  },
  'GET /v1/sessions': {
    tag: 'Sessions',
    summary: 'List one’s own sessions, last active first',
    query: CURSOR,
    answers: ok('A page of them', answers.sessions),
  },
  'GET /v1/sessions/:session': {
    tag: 'Sessions',
    summary: 'Read a session, and what waits in it for its user',
    answers: ok('The session', answers.sessionInfo),
  },
  'POST /v1/sessions/:session': {
    tag: 'Sessions',
    summary: 'Rename a session',
    answers: ok('The session', answers.listedSession),
  },
  'DELETE /v1/sessions/:session': {
    tag: 'Sessions',
    summary: 'Delete a session with its history, files and sandbox',
    answers: GONE,
  },
  'GET /v1/sessions/:session/history': {
    tag: 'Sessions',
    summary: 'Read the transcript; without `limit` and `before` all of it, streamed',
    query: HISTORY,
    answers: ok('The transcript, or a page of it', answers.history),
  },
  'POST /v1/sessions/:session/messages': {
    tag: 'Sessions',
    summary: 'Say something: the finished turn, or its events with `Accept: text/event-stream`',
    answers: {
      200: { words: 'The finished turn', schema: answers.finishedTurn, types: ['text/event-stream'] },
      202: { words: 'The session waits for its user, or ten minutes are over', schema: answers.waitingTurn },
    },
  },
  'GET /v1/sessions/:session/events': {
    tag: 'Sessions',
    summary: 'Follow all events, as server-sent events',
    query: { after: 'The `seq` of the last event that was handled' },
    headers: { 'Last-Event-ID': 'As `after`, and before it' },
    answers: bytes('The events, for as long as the connection lasts', 'text/event-stream'),
  },
  'GET /v1/me': {
    tag: 'Usage',
    summary: 'Read who you are here, and the limits that hold for you',
    answers: ok('You', answers.me),
  },
  'GET /v1/tokens': {
    tag: 'Usage',
    summary: 'List your own tokens, without the tokens themselves',
    query: PAGE,
    answers: ok('A page of them', answers.tokens),
  },
  'DELETE /v1/tokens/:id': { tag: 'Usage', summary: 'Revoke a token of your own', answers: GONE },
  'GET /v1/waiting': {
    tag: 'Sessions',
    summary: 'List what waits for you in all sessions, oldest first',
    answers: ok('Calls and questions', answers.waiting),
  },
  'GET /v1/sessions/:session/approvals/:call': {
    tag: 'Sessions',
    summary: 'Read a tool call that waits, with the schema of its arguments',
    answers: ok('The call', answers.waitingCall),
  },
  'POST /v1/sessions/:session/approvals/:call': {
    tag: 'Sessions',
    summary: 'Approve or deny a tool call',
    answers: ok('Your answer counts', answers.answered),
  },
  'POST /v1/sessions/:session/elicitations/:request': {
    tag: 'Sessions',
    summary: 'Answer a question of an MCP server',
    answers: ok('Your answer counts', answers.replied),
  },
  'POST /v1/sessions/:session/sandbox/restart': {
    tag: 'Sessions',
    summary: 'Save the workspace and end the sandboxes',
    answers: ok('So many have ended', answers.restarted),
  },
  'POST /v1/sessions/:session/cancel': {
    tag: 'Sessions',
    summary: 'Stop the running turn',
    answers: ok('It stops', answers.justSession),
  },
  'GET /v1/export': {
    tag: 'Sessions',
    summary: 'Take out all that is kept of oneself',
    answers: bytes('A tar', 'application/x-tar'),
  },
};

const FILES: Record<string, Operation> = {
  'GET /v1/sessions/:session/files': {
    tag: 'Files',
    summary: 'List files of the workspace',
    query: { path: 'The folder', recursive: 'Also what is in its folders', ...PAGE, ...SERVER },
    answers: ok('A page of them', answers.files),
  },
  'GET /v1/sessions/:session/files/content': {
    tag: 'Files',
    summary: 'Read a file, or a range of it',
    query: { 'path!': 'The file', ...SERVER },
    headers: { Range: 'One range of bytes', 'If-None-Match': 'An entity tag that one has' },
    answers: {
      200: { words: 'The bytes', types: ['*/*'] },
      206: { words: 'The range', types: ['*/*'] },
      ...SAME,
    },
  },
  'GET /v1/sessions/:session/files/archive': {
    tag: 'Files',
    summary: 'Read a folder with all that is in it, as one archive',
    query: { path: 'The folder; without it the whole workspace', format: '`tar.gz` or `zip`', ...SERVER },
    answers: { 200: { words: 'The archive', types: ['application/gzip', 'application/zip'] } },
  },
  'PUT /v1/sessions/:session/files/content': {
    tag: 'Files',
    summary: 'Write a file, whole or not at all',
    query: { 'path!': 'The file', ...SERVER },
    headers: {
      'If-Match': 'The entity tag of the file to replace',
      'If-None-Match': '`*`: only where there is none',
    },
    answers: {
      200: { words: 'It replaces a file', schema: answers.writtenFile },
      201: { words: 'It is new', schema: answers.writtenFile },
    },
  },
  'DELETE /v1/sessions/:session/files/content': {
    tag: 'Files',
    summary: 'Delete a file or a folder',
    query: { 'path!': 'The file', recursive: 'Also a folder with files', ...SERVER },
    headers: { 'If-Match': 'The entity tag of the file to delete' },
    answers: GONE,
  },
  'POST /v1/sessions/:session/files/move': {
    tag: 'Files',
    summary: 'Move or rename a file',
    query: SERVER,
    answers: ok('It is there now', answers.moved),
  },
};

const MCP: Record<string, Operation> = {
  'GET /v1/mcp': {
    tag: 'MCP',
    summary: 'List the MCP servers, their health and tools',
    answers: ok('All of them', answers.mcpServers),
  },
  'GET /v1/mcp/:server': { tag: 'MCP', summary: 'Read one of them', answers: ok('The server', answers.mcpServer) },
  'POST /v1/mcp/:server/test': {
    tag: 'MCP',
    summary: 'Ask a server now',
    answers: ok('It has answered', answers.mcpTest),
  },
  'POST /v1/mcp/:server/login': {
    tag: 'MCP',
    summary: 'Begin to log in to a server',
    answers: ok('An address to open', answers.mcpLogin),
  },
  'DELETE /v1/mcp/:server/login': {
    tag: 'MCP',
    summary: 'Forget the login to a server',
    answers: ok('It is forgotten here', answers.mcpLogout),
  },
  'GET /v1/mcp/:server/prompts': {
    tag: 'MCP',
    summary: 'List its prompts',
    query: SESSION,
    answers: ok('As the server gives them', answers.mcpPrompts),
  },
  'POST /v1/mcp/:server/prompts/:prompt': {
    tag: 'MCP',
    summary: 'Read a prompt',
    query: SESSION,
    answers: ok('As the server gives it', answers.mcpPrompt),
  },
  'GET /v1/mcp/:server/resources': {
    tag: 'MCP',
    summary: 'List its resources',
    query: SESSION,
    answers: ok('As the server gives them', answers.mcpResources),
  },
  'GET /v1/mcp/:server/resources/read': {
    tag: 'MCP',
    summary: 'Read a resource',
    query: { 'uri!': 'The resource', ...SESSION },
    answers: ok('As the server gives it', answers.mcpContents),
  },
  'GET /v1/mcp/oauth/client.json': {
    tag: 'MCP',
    summary: 'The client id metadata document of OAuth',
    answers: bytes('The document', 'application/json'),
  },
  'GET /v1/mcp/oauth/login/:ticket': html('The page on which a login to an MCP server begins', 'MCP'),
  'POST /v1/mcp/oauth/login/:ticket': html('Its button', 'MCP'),
  'GET /v1/mcp/oauth/callback': html('Where an authorization server sends the user back', 'MCP'),
  'POST /mcp': {
    tag: 'MCP',
    summary: 'Fairlead as an MCP server: a message (Streamable HTTP)',
    answers: {
      200: { words: 'MCP’s answer', types: ['application/json', 'text/event-stream'] },
      202: { words: 'Taken' },
    },
  },
  'GET /mcp': {
    tag: 'MCP',
    summary: 'Fairlead as an MCP server: what it says by itself',
    answers: bytes('Its messages', 'text/event-stream'),
  },
  'DELETE /mcp': { tag: 'MCP', summary: 'End an MCP session', answers: { 200: { words: 'Done' }, ...GONE } },
};

const OTHERS: Record<string, Operation> = {
  'GET /v1/usage': {
    tag: 'Usage',
    summary: 'Read what one has used, and what is left',
    query: DAYS,
    answers: { 200: { words: 'The use', schema: answers.ownUsage, types: ['text/csv'] } },
  },
  'GET /v1/login': {
    tag: 'Log in',
    summary: 'Ask who is logged in, and how somebody may log in',
    answers: ok('Both', answers.standing),
  },
  'POST /v1/login': {
    tag: 'Log in',
    summary: 'Log a browser in, from the server’s own pages alone',
    answers: ok('A cookie', answers.loggedIn),
  },
  'GET /healthz': { tag: 'Health', summary: 'Ask whether the process lives', answers: ok('It does', answers.health) },
  'GET /readyz': {
    tag: 'Health',
    summary: 'Ask whether it serves',
    answers: {
      200: { words: 'It does', schema: answers.readiness },
      503: { words: 'It does not, and why', schema: answers.readiness },
    },
  },
  'GET /metrics': {
    tag: 'Health',
    summary: 'Read the metrics, with the scrape token',
    answers: bytes('Prometheus’ text', 'text/plain'),
  },
  'GET /v1/openapi.json': {
    tag: 'Pages',
    summary: 'This description of the HTTP interface (OpenAPI 3.1)',
    answers: { ...bytes('The description', 'application/json'), ...SAME },
  },
  'GET /v1/asyncapi.json': {
    tag: 'Pages',
    summary: 'The description of the WebSocket interface (AsyncAPI 3)',
    answers: { ...bytes('The description', 'application/json'), ...SAME },
  },
  'GET /docs': cached(html('Both descriptions, to read')),
  'GET /': cached(html('The console')),
  'GET /assets/:name': {
    tag: 'Pages',
    summary: 'A file of the console',
    answers: { ...bytes('The file', 'text/javascript', 'text/css', 'image/svg+xml'), ...SAME },
  },
  'GET /auth': html('Who is logged in'),
  'GET /auth/login': { tag: 'Pages', summary: 'Go to the issuer', answers: { 302: { words: 'There' } } },
  'GET /auth/callback': { tag: 'Pages', summary: 'Come back from it', answers: { 303: { words: 'Logged in' } } },
  'POST /auth/logout': { tag: 'Pages', summary: 'Log out', answers: { 303: { words: 'Logged out' } } },
  'POST /auth/backchannel-logout': {
    tag: 'Pages',
    summary: 'The issuer ends logins (OpenID Connect Back-Channel Logout)',
    answers: bytes('They have ended', 'application/json'),
  },
  'GET /auth/once': html('A link for one log-in'),
  'POST /auth/once': { tag: 'Pages', summary: 'Its button', answers: { 303: { words: 'Logged in' } } },
};

/** By method and path, as the router has them. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  ...SESSIONS,
  ...FILES,
  ...OTHERS,
  ...MCP,
  ...ADMINISTRATION,
};
