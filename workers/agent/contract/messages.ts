/** An agent thread's contract, both ways: what the main thread asks of it, and what it asks of the main thread. Types only. */
import type {
  ExecRequest,
  LeaseRequest,
  LeaseResult,
  Loss,
  LossTold,
  ReplaceRequest,
  SavedSize,
} from '../../docker/contract/messages.js';
import type { StatFileRequest, StatFileResult } from '../../docker/contract/files.js';
import type { CredentialRequests } from './credentials.js';
import type {
  AuditEntries,
  CollectMetricsResult,
  DrainRequest,
  HibernateAllResult,
  ModelHealthReport,
  Nothing,
  ResumeResult,
  SetConfigRequest,
  StartFailed,
  ThreadHealth,
  WorkLeft,
} from './lifecycle.js';
import type { LoginHostRequests, LoginRequests } from './logins.js';
import type {
  McpAbort,
  McpAnswer,
  McpExchange,
  McpRequest,
  McpStatusRequest,
  McpStatusResult,
  McpStreamPart,
  McpStreamResult,
  McpTestResult,
  ServerListing,
  ServerName,
  SetCatalogueRequest,
  UserServer,
} from './mcp.js';
import type {
  ModelCallAnswered,
  ModelCallAsk,
  ModelCallEnded,
  ModelCallLeft,
  ModelCallNews,
  ModelCallRefused,
} from './model-calls.js';
import type { QuotaExcess } from '../../../src/shared/quotas.js';
import type { UsageRequests } from './usage.js';
import type {
  HeldWorkspace,
  HoldWorkspaceRequest,
  NoteFilesRequest,
  ReleaseSessionRequest,
  SandboxRef,
} from './sandboxes.js';
import type {
  ActedBy,
  AllSessionsRequest,
  AllSessionsResult,
  AnswerApprovalRequest,
  AnswerElicitationRequest,
  Asked,
  AttachRequest,
  AttachResult,
  ClaimSocketsRequest,
  CatchUpResult,
  CreateSessionRequest,
  CreateSessionResult,
  OfferedImage,
  EndSessionResult,
  ListSessionsRequest,
  ListSessionsResult,
  ListWaitingRequest,
  ListWaitingResult,
  MissingSessionsRequest,
  MissingSessionsResult,
  HistoryPage,
  HistoryPiece,
  ReadHistoryPageRequest,
  ReadEventsRequest,
  ReadEventsResult,
  ReadHistoryRequest,
  ReadCallRequest,
  ReadCallResult,
  ReadSeqsRequest,
  ReadSeqsResult,
  RenewSocketsRequest,
  RenameSessionRequest,
  ReplayRequest,
  ReplayResult,
  SessionFrames,
  SessionGone,
  SessionInfo,
  SessionRef,
  SessionSeq,
  SessionSize,
  SubmitMessageRequest,
  SubmitMessageResult,
  SweepSessionsRequest,
  SweepSessionsResult,
  TellLookRequest,
} from './sessions.js';

/** What the main thread asks of an agent thread. */
export interface AgentContract {
  requests: LoginRequests &
    UsageRequests &
    CredentialRequests & {
      /** Creates the session's row. ERR_MODEL_NOT_ALLOWED. */
      'create-session': { request: CreateSessionRequest; result: CreateSessionResult };
      /** Those that this user may choose. */
      'list-images': { request: { user: string } & Asked; result: { images: OfferedImage[] } };
      /**
       * Everything that a new subscriber must see first: session:ready, the durable events after `after`, the blocks that are
       * streaming. Events notified after this answer follow it without a gap. `after` ahead of the log: ERR_BAD_FRAME.
       */
      attach: { request: AttachRequest; result: AttachResult };
      /** The durable events after `after`, for a subscriber that has missed them. */
      replay: { request: ReplayRequest; result: ReplayResult };
      'read-seqs': { request: ReadSeqsRequest; result: ReadSeqsResult };
      /** Resumes the sessions that a crash has interrupted. Asked once the catalogue is set. */
      resume: { request: Nothing; result: ResumeResult };
      /** The blocks that are streaming, whole, for a subscriber that skipped deltas while it was slow. */
      'catch-up': { request: SessionRef; result: CatchUpResult };
      /** Resolves when the message is stored. ERR_TOO_MANY_REQUESTS, ERR_DRAINING. */
      'submit-message': { request: SubmitMessageRequest; result: SubmitMessageResult };
      /** ERR_CALL_NOT_PENDING, ERR_DRAINING; for edited arguments ERR_TOOL_ARGS, ERR_DENIED, ERR_UNAVAILABLE. */
      'answer-approval': { request: AnswerApprovalRequest; result: null };
      /** ERR_CALL_NOT_PENDING; ERR_TOOL_ARGS where it does not fit the form. */
      'answer-elicitation': { request: AnswerElicitationRequest; result: null };
      /** Writes a loss of files to the session's log, once for each id. */
      'note-loss': { request: Loss; result: LossTold };
      'cancel-turn': { request: SessionRef & Asked & ActedBy; result: null };
      'reset-history': { request: SessionRef & Asked; result: null };
      /** Counts the user's connections at the server that asks. `over`: they are too many. ERR_UNAVAILABLE. */
      'claim-sockets': { request: ClaimSocketsRequest; result: { over?: QuotaExcess } };
      /** Says that the server is there, and how many connections these users have. ERR_UNAVAILABLE. */
      'renew-sockets': { request: RenewSocketsRequest; result: null };
      /** Counts a saved workspace for the session's user. ERR_UNAVAILABLE. */
      'note-saved': { request: SavedSize; result: null };
      /** Saves the session's sandboxes and ends them. ERR_SANDBOX: one cannot be saved and stays, unless `discard` is set. */
      'restart-sandbox': { request: SessionRef & Asked & { discard: boolean }; result: { restarted: number } };
      'rename-session': { request: RenameSessionRequest; result: SessionInfo };
      /**
       * Keeps the session's sandbox from hibernation until `release-workspace`, for files that go in or out. ERR_NO_SUCH_SESSION;
       * ERR_STORE_CONFLICT: another server has the session, and its files; ERR_NOT_FOUND: no such server, or it has no workspace of
       * the session's own. With `act` the errors of a lease, ERR_QUOTA, ERR_DRAINING.
       */
      'hold-workspace': { request: HoldWorkspaceRequest; result: HeldWorkspace };
      /** Tells the session's clients. */
      'note-files': { request: NoteFilesRequest; result: null };
      /** Idempotent. */
      'release-workspace': { request: { hold: string }; result: null };
      'get-session': { request: SessionRef; result: SessionInfo };
      /** A call that waits for the user. ERR_CALL_NOT_PENDING. */
      'read-call': { request: ReadCallRequest; result: ReadCallResult };
      /** What waits for the user in all of their sessions. Any thread answers for any user. */
      'list-waiting': { request: ListWaitingRequest; result: ListWaitingResult };
      /** Any thread answers for any user. */
      'list-sessions': { request: ListSessionsRequest; result: ListSessionsResult };
      'delete-session': { request: SessionRef & Asked & ActedBy; result: null };
      /** For operators. Any thread answers. */
      'all-sessions': { request: AllSessionsRequest; result: AllSessionsResult };
      /** For operators: whose it is, among others. ERR_NO_SUCH_SESSION. */
      'session-size': { request: { session: string }; result: SessionSize };
      /** For administrators: stops its turns, saves and ends its sandboxes, closes what listens to it. The session stays. ERR_NO_SUCH_SESSION. */
      'end-session': { request: { session: string }; result: EndSessionResult };
      /** Tells the session's user, for good, that an administrator reads it. ERR_NO_SUCH_SESSION. */
      'tell-look': { request: TellLookRequest; result: null };
      /** One piece of the whole history. ERR_UNAVAILABLE when it was cleared since the piece before. */
      'read-history': { request: ReadHistoryRequest; result: HistoryPiece };
      /** The durable events that the session's log still has. Takes the session from nobody, and is no use of it. */
      'read-events': { request: ReadEventsRequest; result: ReadEventsResult };
      'read-history-page': { request: ReadHistoryPageRequest; result: HistoryPage };
      /** Deletes sessions past their time to live, by index; each is judged again in the step that deletes it. */
      'sweep-sessions': { request: SweepSessionsRequest; result: SweepSessionsResult };
      /** Those of these sessions that the store does not know. Any thread answers. */
      'missing-sessions': { request: MissingSessionsRequest; result: MissingSessionsResult };

      /**
       * One HTTP request to /mcp. Resolves with the answer, or with null when the answer was streamed to its end through
       * 'mcp-stream'. ERR_NO_SUCH_SESSION, ERR_DRAINING, ERR_TOO_MANY_REQUESTS.
       */
      'mcp-exchange': { request: McpExchange; result: McpAnswer | null };
      'mcp-abort': { request: McpAbort; result: null };
      /** Resolves when all parts of the thread have it. An older one than the thread has changes nothing. */
      'set-config': { request: SetConfigRequest; result: null };
      'set-catalogue': { request: SetCatalogueRequest; result: null };
      /** Asks for the server's tools again, soon. Only the thread that lists servers for all has anything to do. */
      'refresh-server': { request: ServerName; result: null };
      /** What this thread knows of the servers without asking them; of those with a login, what it knows for this user. */
      'mcp-status': { request: McpStatusRequest; result: McpStatusResult };
      /** One cheap request to the server, which never starts a sandbox: ERR_MCP where it would. Else the server's errors. */
      'mcp-test': { request: UserServer & Asked; result: McpTestResult };
      /**
       * A list, a prompt or a resource, for this user or in one of their sessions: ERR_NO_SUCH_SESSION. A server in a sandbox
       * needs the session: ERR_BAD_FRAME. Else the server's errors, ERR_MCP_LOGIN among them.
       */
      'mcp-request': { request: McpRequest; result: Record<string, unknown> };
      /** The user has logged in or out there: what is known of the server for this user is asked for again. */
      'mcp-forget': { request: UserServer; result: null };

      /**
       * These users and no others are blocked from the moment on in which it comes. Resolves when their turns have stopped, or soon:
       * `left` is how many sessions have one that has not, so that it must be asked again.
       */
      'set-blocked': { request: { users: string[] }; result: { left: number } };
      'collect-metrics': { request: Nothing; result: CollectMetricsResult };
      /** Refuses new turns, gives running ones `graceMs`, then interrupts them; resolves when nothing runs and all is flushed. */
      drain: { request: DrainRequest; result: null };
      /** From now on no turn starts and no message is accepted, until 'wake'. Running turns end; their sessions are told gone then. */
      rest: { request: Nothing; result: { busy: string[] } };
      /** Turns start again, those in line first. Idempotent. */
      wake: { request: Nothing; result: null };
      'work-left': { request: Nothing; result: WorkLeft };
      /** After the drain: saves every sandbox's workspace and releases the sandbox. */
      'hibernate-all': { request: Nothing; result: HibernateAllResult };
    };
  notifications: {
    /** The last message: close the store and end. */
    close: Nothing;
    /** What has become of requests to the model that wait. */
    'model-calls': ModelCallNews;
  };
}

/** What an agent thread asks of the main thread. */
export interface AgentHostContract {
  requests: LoginHostRequests & {
    /** The port (the sandbox's end) is transferred. Errors as DockerTasks['lease-sandbox']. */
    'lease-sandbox': { request: LeaseRequest; result: LeaseResult };
    /** The port (the server's end) is transferred. Errors as DockerTasks['exec-server']. */
    'exec-server': { request: ExecRequest; result: null };
    'release-sandbox': { request: SandboxRef; result: null };
    /** Saves its workspace and releases it. ERR_SANDBOX, ERR_UNAVAILABLE: not saved, and it stays. */
    'hibernate-sandbox': { request: SandboxRef; result: null };
    /** The session wants its sandbox now: a save of it that is under way is dropped. */
    'keep-sandbox': { request: SandboxRef; result: null };
    /** Saves its workspace, also where that is hard, and destroys it. Errors as DockerTasks['replace-sandbox']. */
    'replace-sandbox': { request: ReplaceRequest; result: { saved: boolean } };
    'stat-file': { request: StatFileRequest; result: StatFileResult };
    /** The session is no more: removes its sandboxes and their saved workspaces. */
    'release-session': { request: ReleaseSessionRequest; result: null };
    /** Resolves when the disk has these entries of the audit log. ERR_UNAVAILABLE: it cannot be written, and work is refused. */
    'audit-stored': { request: AuditEntries; result: null };
    /** A part of a streamed answer; resolves when the client takes more. */
    'mcp-stream': { request: McpStreamPart; result: McpStreamResult };
  };
  notifications: {
    ready: Nothing;
    'start-failed': StartFailed;
    /** All events of one turn of the event loop. */
    frames: { batch: SessionFrames[] };
    'session-gone': SessionGone;
    'session-seq': SessionSeq;
    audit: AuditEntries;
    'server-tools': ServerListing;
    /** A call found this server unreachable: the thread that lists it should look. */
    'server-trouble': ServerName;
    health: ThreadHealth;
    'model-health': ModelHealthReport;
    /** A request to the model waits for its turn; answered by 'model-calls'. */
    'model-ask': ModelCallAsk;
    'model-leave': ModelCallLeft;
    'model-ended': ModelCallEnded;
    'model-refused': ModelCallRefused;
    'model-answered': ModelCallAnswered;
  };
}
