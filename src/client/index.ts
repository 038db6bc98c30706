/** `fairlead/client` for browsers, and wherever a global WebSocket is. docs/client.md. */
export { ClientError } from './client-error.js';
export type { Loss } from './connection.js';
export { Fairlead, type FairleadOptions, type Page, type SessionInfo } from './fairlead.js';
export type { Accepted, Session, SessionOptions } from './session.js';
export type { ConnectionEvent, ConnectionState, SessionEvent } from './session-event.js';
export type { SocketConstructor, SocketLike } from './socket.js';
export type { Token } from './token.js';
export type { ClientFrame, Pending, PendingApproval, PendingElicitation, ServerEvent } from '../shared/protocol.js';
