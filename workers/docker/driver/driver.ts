/** What the docker thread needs of a place to run sandboxes in: Docker, or child processes for trying out. Types only. */
import type { Readable, Writable } from 'node:stream';

export interface StartRequest {
  /** Unique; chosen before anything is made, so that what a broken start leaves can be found by it. */
  name: string;
  /** Key in `mcpServers`. */
  server: string;
  image: string;
  /** What `resolveImage` said; without it the name decides at that moment. */
  imageId?: string;
  /** All of the environment that is put in. */
  env: Readonly<Record<string, string>>;
  /** The caller has lost interest: stop as soon as what was made is known, remove it, reject with the signal's reason. */
  signal: AbortSignal;
}

export interface SandboxExit {
  code: number | null;
  /** In plain words, for the log and the error of a running tool. */
  reason: string;
}

/** A program that runs inside a sandbox beside its server. */
export interface SandboxProgram {
  /** Ending it is the end of the program's input. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Its exit code; null when that cannot be said. Never rejects. Read stdout and stderr, or it never comes. */
  readonly exited: Promise<number | null>;
}

export interface ExecOptions {
  /** Beside what the sandbox itself was started with. */
  env?: Readonly<Record<string, string>>;
}

export interface RunningSandbox {
  /** Container id, or `process:PID`. */
  readonly id: string;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Never rejects. */
  readonly exited: Promise<SandboxExit>;
  /**
   * Runs a program as the sandbox's own user; when the signal aborts, its streams are destroyed.
   * A program that is not there exits with 126 or 127 (Docker), or rejects with ERR_SANDBOX. ERR_UNAVAILABLE: Docker does
   * not answer.
   */
  exec(command: readonly string[], signal: AbortSignal, options?: ExecOptions): Promise<SandboxProgram>;
  /** Shows people whose it is, where that can be shown. Resolves also when it could not be done. */
  assign?(session: string): Promise<void>;
  /**
   * Ends all that runs in it and starts it anew, its writable places empty: this sandbox is over, the new one is what it
   * resolves with. Where there is no such thing, a sandbox serves one session. ERR_UNAVAILABLE: it is to be destroyed.
   */
  restart?(signal: AbortSignal): Promise<RunningSandbox>;
  /** Kills and removes it with all it wrote. Twice is fine. ERR_UNAVAILABLE when that could not be done. */
  destroy(): Promise<void>;
}

/** A sandbox that an earlier run of this instance has made. */
export interface FoundSandbox {
  readonly id: string;
  /** As `StartRequest` gave it. */
  readonly name: string;
  /** What people are shown says that it is somebody's. */
  readonly named: boolean;
  /** Its server runs, perhaps paused. */
  readonly runs: boolean;
  /** What `optionsOf` said when it was made; '' when that is not known. */
  readonly options: string;
  /** Joins its streams, and lets it run when it is paused. ERR_SANDBOX: it has ended. ERR_UNAVAILABLE; the signal's reason. */
  attach(signal: AbortSignal): Promise<RunningSandbox>;
  /** As that of a running one. */
  destroy(): Promise<void>;
}

/** Of drivers whose sandboxes survive the death of whoever holds them. */
export interface Adopting {
  /** All of this instance, the newest first. ERR_UNAVAILABLE. */
  find(): Promise<FoundSandbox[]>;
  /** A hash of all that a sandbox would be made with now. */
  optionsOf(from: Pick<StartRequest, 'image' | 'imageId' | 'env'>): string;
}

export interface SandboxWatcher {
  /** This one has ended, by name. */
  onDead(name: string): void;
  /** Whoever runs sandboxes answers, for the first time or again. */
  onBack(): void;
}

export interface SandboxDriver {
  /** How many may wait on a shelf at most. */
  readonly maxWarm: number;
  /** The image's content id: what has the same one is the same. ERR_SANDBOX when it is not there, ERR_UNAVAILABLE. */
  resolveImage(image: string, server: string): Promise<string>;
  /** ERR_SANDBOX: cannot be started as configured. ERR_UNAVAILABLE: not now. Either way nothing is left of it. */
  start(request: StartRequest): Promise<RunningSandbox>;
  /** Absent: its sandboxes end with their stdin. */
  readonly adopting?: Adopting;
  /** Removes what this instance made and `isKnown` (asked by name) does not know; answers how many. */
  removeUnknown(isKnown: (name: string) => boolean, onRemoved?: (name: string) => void): Promise<number>;
  /** Tells of ends that a sandbox's own streams may not show, until `close`. */
  watch(watcher: SandboxWatcher): void;
  /** Waits for removals under way. */
  close(): Promise<void>;
}
