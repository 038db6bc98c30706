/** What the routes of operators and administrators do and answer. */
import * as answers from './answer-schemas.js';
import { bytes, DAYS, GONE, HISTORY, ok, PAGE, type Operation } from './operation.js';

const tag = 'Administration' as const;
export const ADMINISTRATION: Record<string, Operation> = {
  'GET /v1/admin/status': {
    tag,
    summary: 'How the server does',
    answers: ok('Without anybody’s content', answers.status),
  },
  'GET /v1/admin/system': {
    tag,
    summary: 'What the server has, and may have',
    answers: ok('Readiness, connections, sandboxes, limits', answers.system),
  },
  'POST /v1/admin/reload': {
    tag,
    summary: 'Read the configuration again',
    answers: ok('What has changed', answers.reloaded),
  },
  'GET /v1/admin/drain': { tag, summary: 'Ask whether it drains', answers: ok('How far', answers.drain) },
  'POST /v1/admin/drain': { tag, summary: 'Take nothing new', answers: ok('How far', answers.drain) },
  'DELETE /v1/admin/drain': { tag, summary: 'Take work again', answers: ok('It does', answers.drain) },
  'GET /v1/admin/sessions': {
    tag,
    summary: 'List everybody’s sessions, without content',
    query: {
      user: 'Of this user alone',
      state: '`running`, `waiting` or `idle`',
      unusedMs: 'Not used for so long',
      minBytes: 'With a history of so many bytes',
      ...PAGE,
    },
    answers: ok('A page of them', answers.sizedSessions),
  },
  'GET /v1/admin/sessions/:session': { tag, summary: 'One of them', answers: ok('It', answers.sizedSession) },
  'DELETE /v1/admin/sessions/:session': { tag, summary: 'Delete somebody’s session', answers: GONE },
  'POST /v1/admin/sessions/:session/end': {
    tag,
    summary: 'End its turns and sandboxes, and close its connections',
    answers: ok('Done', answers.justSession),
  },
  'POST /v1/admin/sessions/:session/cancel': {
    tag,
    summary: 'Stop its running turn',
    answers: ok('Done', answers.justSession),
  },
  'GET /v1/admin/sessions/:session/history': {
    tag,
    summary: 'Read somebody’s session, with `auth.support` alone; its owner is told',
    query: HISTORY,
    answers: ok('A page of the transcript', answers.history),
  },
  'GET /v1/admin/sandboxes': {
    tag,
    summary: 'List the sandboxes of this server',
    query: { user: 'Of this user', session: 'Of this session', ...PAGE },
    answers: ok('A page of them', answers.sandboxes),
  },
  'POST /v1/admin/sandboxes/:sandbox/end': {
    tag,
    summary: 'Save a sandbox and end it',
    answers: ok('It is gone', answers.endedSandbox),
  },
  'POST /v1/admin/tokens': {
    tag,
    summary: 'Make a token',
    answers: { 201: { words: 'The token, told this once', schema: answers.madeToken } },
  },
  'GET /v1/admin/tokens': {
    tag,
    summary: 'List tokens',
    query: { user: 'Of this user', ...PAGE },
    answers: ok('A page of them', answers.tokens),
  },
  'DELETE /v1/admin/tokens/:id': { tag, summary: 'Revoke a token', answers: GONE },
  'GET /v1/admin/usage': {
    tag,
    summary: 'Who has used how much',
    query: { user: 'Of this user alone', ...DAYS },
    answers: { 200: { words: 'The use', schema: answers.allUsage, types: ['text/csv'] } },
  },
  'GET /v1/admin/users': { tag, summary: 'List known users', query: PAGE, answers: ok('A page', answers.users) },
  'GET /v1/admin/users/:user': {
    tag,
    summary: 'What there is of a user',
    answers: ok('Facts', answers.userFacts),
  },
  'GET /v1/admin/users/:user/export': {
    tag,
    summary: 'Take out all that is kept of a user; they are told',
    answers: bytes('A tar', 'application/x-tar'),
  },
  'DELETE /v1/admin/users/:user': {
    tag,
    summary: 'Delete a user with everything that is theirs',
    answers: {
      200: { words: 'They are gone', schema: answers.erased },
      202: { words: 'It goes on', schema: answers.erased },
    },
  },
  'POST /v1/admin/users/:user/kick': {
    tag,
    summary: 'Close a user’s connections',
    answers: ok('So many here', answers.kicked),
  },
  'POST /v1/admin/users/:user/block': {
    tag,
    summary: 'Block a user',
    answers: ok('They are kept out', answers.blockedUser),
  },
  'DELETE /v1/admin/users/:user/block': { tag, summary: 'Let a user in again', answers: GONE },
  'GET /v1/admin/mcp/:server/pins': { tag, summary: 'Compare with the pins', answers: ok('Both', answers.pins) },
  'POST /v1/admin/mcp/:server/pins': { tag, summary: 'Pin its tools', answers: ok('The pins', answers.pins) },
  'DELETE /v1/admin/mcp/:server/pins': { tag, summary: 'Remove its pins', answers: ok('None', answers.pins) },
};
