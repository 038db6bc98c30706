/** Watches the files of the certificate, and has the front take a new one. Main thread. */
import { statSync, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { readCertificate, type Certificate, type CertificateFiles } from '../shared/certificate.js';
import type { Logger } from '../shared/log.js';

/** Asks rather than being told, since a renewal changes where a link leads, which fs.watch does not see. */
const POLL_MS = 5_000;
const WARN_EVERY_MS = 86_400_000;

export interface CertificateWatchOptions {
  files: CertificateFiles;
  /** The host names under which clients come. */
  names: () => readonly string[];
  /** Gives new connections the certificate of the files. */
  renew: () => Promise<void>;
  log: Logger;
  pollMs?: number;
}

export class CertificateWatch {
  readonly #options: CertificateWatchOptions;
  #current: Certificate;
  /** What tells a change of the files, as the last poll found it. */
  #stamp: string;
  /** It changed at the last poll. */
  #isNew = false;
  #polling = false;
  readonly #timers: NodeJS.Timeout[];
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  /** ERR_START when the certificate cannot be used. */
  constructor(options: CertificateWatchOptions) {
    this.#options = options;
    const { files, names, log, pollMs = POLL_MS } = options;
    this.#stamp = [files.cert, files.key].map((file) => stampOf(statSync(file, { throwIfNoEntry: false }))).join(' ');
    this.#current = readCertificate(files, names());
    for (const warning of this.#current.warnings) log.warn(warning);
    const daily = setInterval(() => void this.look(), WARN_EVERY_MS);
    this.#timers = [setInterval(() => void this.#poll(), pollMs), daily];
    for (const timer of this.#timers) timer.unref();
  }

  get current(): Certificate {
    return this.#current;
  }

  /** Reads the files again. Never rejects: what cannot be used is told, and the certificate of now stays. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look());
    return this.#looking;
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
  }

  /** A renewal writes one file after the other, so a change counts when nothing has followed it until the next poll. */
  async #poll(): Promise<void> {
    if (this.#polling) return; // a file server that does not answer
    this.#polling = true;
    const { cert, key } = this.#options.files;
    const found = await Promise.all([cert, key].map((file) => stat(file).then(stampOf, () => stampOf(undefined))));
    const stamp = found.join(' ');
    this.#polling = false;
    if (stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#isNew = true;
    } else if (this.#isNew) {
      this.#isNew = false;
      await this.look();
    }
  }

  async #look(): Promise<void> {
    if (this.#closed) return;
    const { files, names, renew, log } = this.#options;
    const { endsAt } = this.#current;
    try {
      const found = readCertificate(files, names());
      for (const warning of found.warnings) log.warn(warning);
      if (found.fingerprint === this.#current.fingerprint) return;
      await renew();
      this.#current = found;
      log.info({ names: found.names, endsAt: found.endsAt }, 'new connections get the new certificate');
    } catch (error) {
      log.warn({ err: (error as Error).message, endsAt }, 'the certificate of before stays');
    }
  }
}

function stampOf(stats: Stats | undefined): string {
  return stats ? `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}` : 'none';
}
