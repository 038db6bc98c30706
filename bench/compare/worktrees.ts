/** Work trees of commits in a temporary folder, built, and removed when this process ends. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { git, run } from './git.js';

export class Worktrees {
  readonly #root: string;
  readonly #folder: string;
  readonly #paths: string[] = [];
  /** Cleans up after a second Ctrl-C, which ends this process at once. */
  readonly #onExit = (): void => {
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 3 });
    for (const path of this.#paths) spawnSync('git', ['worktree', 'remove', '--force', path], { cwd: this.#root });
  };

  private constructor(root: string, folder: string) {
    this.#root = root;
    this.#folder = folder;
    process.once('exit', this.#onExit);
  }

  static async open(root: string): Promise<Worktrees> {
    return new Worktrees(root, await mkdtemp(join(tmpdir(), 'fairlead-compare-')));
  }

  /** Resolves with the path. Uses the packages that are installed in this checkout. */
  async add(name: string, hash: string): Promise<string> {
    const path = join(this.#folder, name);
    this.#paths.push(path);
    await git(this.#root, 'worktree', 'add', '--detach', '--quiet', path, hash);
    await symlink(join(this.#root, 'node_modules'), join(path, 'node_modules'));
    return path;
  }

  async build(path: string, signal: AbortSignal): Promise<void> {
    await run(join(path, 'node_modules', '.bin', 'tsc'), ['-p', 'tsconfig.json'], { cwd: path, signal });
  }

  /** Removes the link first, so that nothing follows it; then the files; then git's record of them. */
  async close(): Promise<void> {
    for (const path of this.#paths) {
      await rm(join(path, 'node_modules'), { force: true });
      await rm(path, { recursive: true, force: true });
      await git(this.#root, 'worktree', 'remove', '--force', path);
    }
    await rm(this.#folder, { recursive: true, force: true });
    process.off('exit', this.#onExit);
  }
}
