/** Messages about sessions: their life, their turns and what their subscribers are sent. Types only. */
import type { AuditedWho } from '../../../src/shared/audit.js';
import type { Who } from '../../../src/shared/person.js';
import type { Pending, PendingApproval, UserBlock } from '../../../src/shared/protocol.js';

/** A session and the user who asks. ERR_NO_SUCH_SESSION, the same for one that does not exist and one of another user. */
export interface SessionRef {
  user: string;
  session: string;
}

/** With which rights the user asks. Absent: a user without groups. */
export interface Asked {
  who?: Who;
}

/** An administrator who does it to the session of somebody else. */
export interface ActedBy {
  by?: AuditedWho;
}

/** An event on its way to a session's subscribers. */
export interface OutFrame {
  /** The event as JSON text. */
  json: string;
  /** 0 for streaming events, which a slow subscriber may skip. */
  seq: number;
  /** The event's own `type` and `turn`, so that the main thread tells events apart without parsing `json`. */
  type: string;
  turn?: number;
}

/** The events of one session from one turn of the event loop, in order. */
export interface SessionFrames {
  session: string;
  frames: OutFrame[];
}

/** A session in a list. Times are ms since the epoch. */
export interface ListedSession {
  session: string;
  model: string;
  /** Key in `images`. Absent: it has chosen none. */
  image?: string;
  title: string;
  createdAt: number;
  lastActiveAt: number;
  seq: number;
  turns: number;
  /** A turn runs, or waits for its user. */
  running: boolean;
  /** Approvals and questions that wait for the user. */
  waiting: number;
}

export interface SessionInfo extends ListedSession {
  pending: Pending[];
}

/** Something that waits for its user, and where. */
export type WaitingItem = { session: string; title: string } & Pending;

export interface ListWaitingRequest {
  user: string;
}

export interface ListWaitingResult {
  /** Oldest first. */
  waiting: WaitingItem[];
  /** There may be more: the user has very many sessions, or what waits is very long. */
  more?: true;
}

export interface ReadCallRequest extends SessionRef {
  callId: string;
}

export interface ReadCallResult extends PendingApproval {
  /** Of the tool's arguments, in its server's words. Absent: the tool is not there now. */
  schema?: Record<string, unknown>;
}

export interface CreateSessionRequest extends SessionRef, Asked {
  /** Absent: the configuration's. */
  model?: string;
  /** Key in `images`. Absent: the default one, else the server's own. */
  image?: string;
}

/** An image that a session may choose. */
export interface OfferedImage {
  name: string;
  description: string;
  /** A session that chooses none gets it. */
  default: boolean;
}

export interface RenameSessionRequest extends SessionRef, Asked {
  title: string;
}

export interface CreateSessionResult {
  session: string;
  model: string;
  image?: string;
}

export interface AttachRequest extends SessionRef, Asked {
  /** The newest seq that the client has; absent: it joins now, without a replay. */
  after?: number;
  /** What `session:ready` says: the session existed before. */
  resumed: boolean;
}

export interface AttachResult {
  frames: OutFrame[];
  /** The newest seq that the frames contain. */
  seq: number;
}

export interface ReplayRequest extends SessionRef {
  after: number;
}

export interface ReplayResult {
  /** Absent: the log does not reach back to `after`. */
  frames?: OutFrame[];
}

export interface ReadSeqsRequest {
  sessions: string[];
}

export interface ReadSeqsResult {
  /** The newest seq of each session, in the order of the request; 0: no such session. */
  seqs: number[];
}

export interface CatchUpResult {
  frames: OutFrame[];
}

export interface SubmitMessageRequest extends SessionRef, Asked {
  /** The client's id of its message: a second message with the same id is not accepted again. */
  id?: string;
  /** Of the HTTP request, or of the socket's upgrade. */
  requestId?: string;
  content: UserBlock[];
}

export interface SubmitMessageResult {
  turn: number;
  /** Turns ahead of this one. */
  queued: number;
  /** This id was accepted before, as `turn`. */
  duplicate: boolean;
}

export interface AnswerApprovalRequest extends SessionRef, Asked {
  callId: string;
  approved: boolean;
  /** Arguments to run the call with, instead of the model's. */
  args?: Record<string, unknown>;
  /** Of a no, for the model. */
  reason?: string;
  /** A yes for all calls of this tool in this session. */
  remember?: 'session';
  /** The definition that the user was shown. */
  definition?: string;
}

export interface AnswerElicitationRequest extends SessionRef, Asked {
  requestId: string;
  action: 'accept' | 'decline' | 'cancel';
  /** The form's fields, of an `accept`. */
  content?: Record<string, unknown>;
}

export interface ListSessionsRequest {
  user: string;
  limit: number;
  /** `next` of the page before. */
  cursor?: string;
}

export interface ListSessionsResult {
  /** Last active first. */
  sessions: ListedSession[];
  /** Absent on the last page. */
  next?: string;
}

/** Where the next piece of a history begins. Opaque to the main thread, which hands it back. */
export interface HistoryPlace {
  /** In the text of all messages. */
  offset: number;
  /** The block that has it, where that block begins, and as of which generation of the blocks. */
  at: number;
  start: number;
  generation: number;
  clears: number;
}

export interface ReadEventsRequest extends SessionRef {
  after: number;
  limit: number;
}

export interface ReadEventsResult {
  /** One event as JSON each. */
  lines: string;
  /** `after` of the next page; absent: these were the last. */
  next?: number;
}

export interface ReadHistoryRequest extends SessionRef {
  /** It is no use of the session by its user: the session is not kept for longer. */
  quiet?: true;
  /** Absent: from the beginning. */
  place?: HistoryPlace;
}

export interface HistoryPiece {
  /** JSON of messages with commas between, cut anywhere. */
  bytes: Uint8Array;
  /** Absent: this was the last piece. */
  next?: HistoryPlace;
}

export interface ReadHistoryPageRequest extends SessionRef {
  limit: number;
  /** The number of a message, from 0; absent: the newest. */
  before?: number;
}

export interface HistoryPage {
  /** A list of messages, oldest first. */
  json: string;
  /** The number of the first of them. */
  first: number;
  /** `before` of the page before this one; absent: there is none. */
  next?: string;
}

/** A session as operators see it: whose, how large, in which state; nothing of what was said. Times are ms since the epoch. */
export interface SessionSize {
  session: string;
  user: string;
  model: string;
  createdAt: number;
  lastActiveAt: number;
  turns: number;
  /** About the JSON of its history; absent in sessions from before it was counted. */
  historyBytes?: number;
  messages?: number;
  running: boolean;
  /** Turns that wait behind the running one. */
  queued: number;
  /** Questions that wait for its user. */
  pending: number;
  /** The server that has it. */
  server: string;
}

/** What an operator looks for in a list of sessions; absent fields ask for nothing. */
export interface SessionFilter {
  state?: 'running' | 'waiting' | 'idle';
  /** Not used since then, ms since the epoch. */
  before?: number;
  /** With a history of at least so many bytes. */
  minBytes?: number;
}

export interface AllSessionsRequest extends SessionFilter {
  /** Absent: everybody's. */
  user?: string;
  limit: number;
  cursor?: string;
}

export interface AllSessionsResult {
  /** Last active first. */
  sessions: SessionSize[];
  /** Absent: there are no more. A page of a filtered list may have fewer than `limit` and a `next`. */
  next?: string;
}

export interface EndSessionResult {
  /** Turns that were stopped, those in line too. */
  turns: number;
}

export interface TellLookRequest {
  session: string;
  /** Who looks. */
  admin: string;
}

export interface SweepSessionsRequest {
  /** At most this many sessions. */
  limit: number;
}

export interface SweepSessionsResult {
  deleted: number;
}

export interface MissingSessionsRequest {
  sessions: string[];
}

export interface MissingSessionsResult {
  missing: string[];
}

/** The session is no more, or is with another server: its subscribers are closed with this WebSocket close code. */
export interface SessionGone {
  session: string;
  closeCode: number;
  reason: string;
}

/** The newest event of a session that was read from the store again: subscribers may have missed some. */
export interface SessionSeq {
  session: string;
  seq: number;
}

export interface ClaimSocketsRequest {
  /** The server's name, of this run alone. */
  server: string;
  user: string;
  /** The user's connections there, the new one included. */
  open: number;
  max: number;
}

export interface RenewSocketsRequest {
  server: string;
  claims: { user: string; open: number }[];
}
