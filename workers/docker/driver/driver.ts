/** The driver interface: what runs sandboxes, in Docker or as child processes for trying out. Types only. */
import type { Readable, Writable } from 'node:stream';
import type { SandboxLimits } from '../../../src/shared/config-images.js';

export type Environment = Readonly<Record<string, string>>;

export interface StartRequest {
  /** Unique and chosen in advance: what a failed start leaves is found by it. */
  name: string;
  /** Key in `mcpServers`. */
  server: string;
  image: string;
  /** The answer of `resolveImage`. Absent: the image's name is resolved at the start. */
  imageId?: string;
  /** The whole environment of the server. */
  env: Environment;
  /** Of its image. Absent: those of the configuration's `sandbox`. */
  limits?: SandboxLimits;
  /** Cancels the start: what was made is removed as soon as it is known, and the start rejects with the signal's reason. */
  signal: AbortSignal;
}

export interface SandboxExit {
  code: number | null;
  /** For the log and for the error of a running tool. */
  reason: string;
  /** Only its streams have ended: it runs, or Docker does not say. `attachAgain` finds out. */
  mayRun?: true;
}

/** A program that runs inside a sandbox beside its server. */
export interface SandboxProgram {
  /** Ending it is the end of the program's input. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** The exit code; null when it is unknown. Never rejects. Never resolves unless stdout and stderr are read. */
  readonly exited: Promise<number | null>;
}

export interface RunningSandbox {
  /** Container id, or `process:PID`. */
  readonly id: string;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Never rejects. */
  readonly exited: Promise<SandboxExit>;
  /** Another value from Docker for the same container means that it was restarted, and is empty. Absent: unknown yet. */
  readonly startedAt?: string;
  /**
   * Runs a program as the sandbox's user, `env` added to the sandbox's own; the signal destroys its streams. A missing
   * program exits with 126 or 127 (Docker) or rejects with ERR_SANDBOX. ERR_UNAVAILABLE: Docker does not answer.
   */
  exec(command: readonly string[], signal: AbortSignal, env?: Environment): Promise<SandboxProgram>;
  /**
   * Resolves if it runs, and did so without a break since it was started or attached. ERR_SANDBOX: it has ended or was
   * restarted, so that what was read in it may be of an empty one. ERR_UNAVAILABLE; the signal's reason. Absent: it cannot
   * start again.
   */
  confirmUnbroken?(signal: AbortSignal): Promise<void>;
  /**
   * Opens its streams again after `exited` with `mayRun`; resolves with the sandbox that replaces this one. Absent: it ends
   * with its streams. ERR_SANDBOX: it has ended. ERR_UNAVAILABLE; the signal's reason.
   */
  attachAgain?(signal: AbortSignal): Promise<RunningSandbox>;
  /**
   * Stops all processes that may be stopped, and lets some more be started: a sandbox whose processes are at their limit can
   * run nothing, not even what saves it. Resolves with what undoes it. Errors as `exec`.
   */
  freeze?(signal: AbortSignal): Promise<() => Promise<void>>;
  /** The memory that it uses now, without the cache of files; undefined: not known. Absent: never known. */
  memory?(signal: AbortSignal): Promise<number | undefined>;
  /** Shows operators whose sandbox it is, by the container's name. Resolves even if that fails. */
  assign?(session: string): Promise<void>;
  /**
   * Ends all that runs in it and starts it again with its writable places empty; resolves with the new sandbox, which
   * replaces this one. Absent: a sandbox serves one session. ERR_UNAVAILABLE: destroy it.
   */
  restart?(signal: AbortSignal): Promise<RunningSandbox>;
  /** Kills and removes it with all it wrote. Idempotent. ERR_UNAVAILABLE when that cannot be done. */
  destroy(): Promise<void>;
}

/** A sandbox of an earlier run of this instance. */
export interface FoundSandbox {
  readonly id: string;
  /** As `StartRequest` gave it. */
  readonly name: string;
  /** Its container was renamed, so it was leased. */
  readonly named: boolean;
  /** Whether its server runs, perhaps paused. */
  readonly runs: boolean;
  /** Its options hash from `optionsOf`; '' when unknown. */
  readonly options: string;
  /**
   * Attaches to its streams, and unpauses it. ERR_SANDBOX: it has ended, or did not start at `startedAt`. ERR_UNAVAILABLE; the
   * signal's reason.
   */
  attach(signal: AbortSignal, startedAt?: string): Promise<RunningSandbox>;
  /** As `RunningSandbox.destroy`. */
  destroy(): Promise<void>;
}

/** For drivers whose sandboxes outlive this process. */
export interface Adopting {
  /** All sandboxes of this instance, the newest first. ERR_UNAVAILABLE. */
  find(): Promise<FoundSandbox[]>;
  /** A hash of everything that a sandbox started now would be made with. */
  optionsOf(from: Pick<StartRequest, 'image' | 'imageId' | 'env' | 'limits'>): string;
}

export interface SandboxWatcher {
  /** A sandbox has ended, by name. */
  onDead(name: string): void;
  /** The daemon answers, for the first time or again. */
  onBack(again: boolean): void;
}

export interface SandboxDriver {
  /** Most warm sandboxes per pool. */
  readonly maxWarm: number;
  /** The image's content id: equal ids mean equal images. ERR_SANDBOX when the image is missing, ERR_UNAVAILABLE. */
  resolveImage(image: string, server: string): Promise<string>;
  /** ERR_SANDBOX: it cannot be started as configured. ERR_UNAVAILABLE: not now. Either way nothing is left of it. */
  start(request: StartRequest): Promise<RunningSandbox>;
  /** Absent: sandboxes end with their stdin. */
  readonly adopting?: Adopting;
  /** Removes the sandboxes of this instance that `isKnown` does not know by name. Resolves with how many. */
  removeUnknown(isKnown: (name: string) => boolean, onRemoved?: (name: string) => void): Promise<number>;
  /** Reports ends that a sandbox's streams may not show, until `close`. */
  watch(watcher: SandboxWatcher): void;
  /** Resolves when the removals under way have ended. */
  close(): Promise<void>;
}
