/** `fairlead token create|list|revoke` and `fairlead user …`: asks a running server. Command line's process. */
import { FairleadError } from '../../shared/errors.js';
import { safeEndpoint } from '../endpoint.js';
import type { Colors } from '../report.js';
import { inline } from '../terminal-text.js';
import { CredentialApi } from './credential-api.js';
import { madeText, parseDuration, tokensText, usersText } from './credential-text.js';

export interface CredentialCommandOptions {
  url: string;
  token: string | undefined;
  json: boolean;
  /** Send the token over plain http beyond this machine. */
  insecure: boolean;
  colors: Colors;
  write: (text: string) => void;
}

export interface CreateFlags {
  expires?: string;
  role: string;
  group: string[];
  note?: string;
  quiet?: boolean;
}

export class CredentialCommands {
  readonly #options: CredentialCommandOptions;
  readonly #api: CredentialApi;

  constructor(options: CredentialCommandOptions) {
    this.#options = options;
    this.#api = new CredentialApi(safeEndpoint(options).http, options.token);
  }

  /** ERR_CONFIG for a time that nobody can read. */
  async create(user: string, { expires, role, group, note, quiet = false }: CreateFlags): Promise<void> {
    const expiresInMs = expires === undefined ? undefined : parseDuration(expires);
    if (expires !== undefined && expiresInMs === undefined) {
      throw new FairleadError(
        'ERR_CONFIG',
        `--expires ${expires} is no time up to ten years: write 90d, 12h, 30m, 8w or 1y`,
      );
    }
    const made = await this.#api.create({ user, role, groups: group, note, expiresInMs });
    if (quiet && !this.#options.json) this.#options.write(`${made.token}\n`);
    else this.#tell(made, madeText(made, Date.now()));
  }

  async list(user: string | undefined): Promise<void> {
    const tokens = await this.#api.tokens(user);
    this.#tell({ tokens }, tokensText(tokens, this.#options.colors, Date.now()));
  }

  async revoke(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      await this.#api.revoke(id);
      this.#tell({ revoked: id }, `${this.#tick()} ${inline(id)} is revoked; its connections are closed\n`);
    }
  }

  async users(): Promise<void> {
    const known = await this.#api.users();
    const users = known.filter(({ tokens, sockets, blocked }) => tokens + sockets > 0 || blocked !== undefined);
    this.#tell({ users }, usersText(users, this.#options.colors));
  }

  async block(user: string, reason: string | undefined): Promise<void> {
    await this.#api.block(user, reason);
    this.#tell(
      { blocked: user },
      `${this.#tick()} ${inline(user)} is blocked; their connections are closed, their turns stop\n`,
    );
  }

  async unblock(user: string): Promise<void> {
    await this.#api.unblock(user);
    this.#tell({ unblocked: user }, `${this.#tick()} ${inline(user)} is no longer blocked\n`);
  }

  #tick(): string {
    return this.#options.colors.green('✓');
  }

  #tell(value: unknown, text: string): void {
    this.#options.write(this.#options.json ? `${JSON.stringify(value)}\n` : text);
  }
}
