/** write_file and edit_file: replace whole files atomically, one at a time. Runs in the sandbox. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { mkdir, remove, rename, stat } from './byte-fs.js';
import { faultFromErrno, ToolFault } from './fault.js';
import { joinBytes, toBytes, type BytePath } from './names.js';
import type { WorkspacePath, Workspace } from './paths.js';
import { HUGE_FILE_BYTES } from './read.js';
import { findText, lineOf, replaceText, type Match } from './replace.js';
import { decodeText } from './text.js';

const MAX_LISTED_LINES = 5;

export interface EditRequest {
  path: string;
  oldText: string;
  newText: string;
  replaceAll: boolean;
}

export class FileWriter {
  readonly #workspace: Workspace;
  #last: Promise<unknown> = Promise.resolve();

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
  }

  async write(path: string, content: string): Promise<string> {
    return this.#inTurn(async () => {
      const place = await this.#workspace.locate(path);
      const bytes = Buffer.from(content, 'utf8');
      await this.#replace(place, bytes);
      return `${place.exists ? 'Replaced' : 'Created'} ${place.shown} (${bytes.length} bytes).`;
    });
  }

  async edit(request: EditRequest): Promise<string> {
    return this.#inTurn(async () => {
      const place = await this.#workspace.locateExisting(request.path);
      const before = await this.#readWhole(place);
      const found = findText(before, request.oldText, request.replaceAll);
      if (found.length === 0) throw textNotFound(place, before, request.oldText);
      if (found.length > 1 && !request.replaceAll) throw ambiguous(place, before, found);
      const after = replaceText(before, found, request.newText);
      if (after === before) throw noChange(request);
      await this.#replace(place, Buffer.from(after, 'utf8'));
      const where = lineNumbers(before, found);
      return `Edited ${place.shown}: ${found.length} replacement${found.length === 1 ? '' : 's'} (line ${where}).`;
    });
  }

  /** Serialises writes: calls of one model answer run in parallel, and two edits of one file must both survive. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work, work);
    this.#last = mine;
    return mine;
  }

  async #readWhole(place: WorkspacePath): Promise<string> {
    await using handle = await this.#workspace.open(place, constants.O_RDONLY);
    const { size } = await handle.stat();
    if (size > HUGE_FILE_BYTES) {
      throw new ToolFault(
        'TOO_LARGE',
        `${place.shown} has ${size} bytes: too large to edit here. Use run_command, e.g. sed.`,
      );
    }
    return decodeText(await handle.readFile(), place.shown);
  }

  /** Writes a temporary file and renames it: a full disk or a killed server leaves the old content, never a half of the new. */
  async #replace(place: WorkspacePath, bytes: Buffer): Promise<void> {
    const mode = place.exists ? await this.#modeOf(place) : 0o644;
    const folder = dirname(place.real) as BytePath;
    const name = `.fairlead-${randomBytes(6).toString('hex')}.tmp`;
    const beside: WorkspacePath = { ...place, real: joinBytes(folder, toBytes(name)) };
    try {
      await mkdir(folder);
      try {
        await using handle = await this.#workspace.open(
          beside,
          constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
          mode,
        );
        await handle.chmod(mode);
        await handle.writeFile(bytes);
      } catch (error) {
        await remove(beside.real);
        throw error;
      }
      await rename(beside.real, place.real);
    } catch (error) {
      throw faultFromErrno(error, place.shown);
    }
  }

  async #modeOf(place: WorkspacePath): Promise<number> {
    const stats = await stat(place.real);
    if (stats.isDirectory())
      throw new ToolFault('IS_A_FOLDER', `${place.shown} is a folder: a file cannot replace it.`);
    if (!stats.isFile()) throw new ToolFault('NOT_A_FILE', `${place.shown} is a device, pipe or socket, not a file.`);
    return stats.mode & 0o777;
  }
}

function lineNumbers(text: string, found: readonly Match[]): string {
  const listed = found.slice(0, MAX_LISTED_LINES).map(({ start }) => lineOf(text, start));
  return listed.join(', ') + (found.length > MAX_LISTED_LINES ? ', …' : '');
}

function noChange({ oldText, newText }: EditRequest): ToolFault {
  const why =
    oldText === newText
      ? 'old_text and new_text are the same'
      : 'old_text and new_text differ in line ends alone, which stay as the file has them (change them with run_command)';
  return new ToolFault('NO_CHANGE', `${why}: nothing was changed.`);
}

function ambiguous(place: WorkspacePath, text: string, found: readonly Match[]): ToolFault {
  return new ToolFault(
    'AMBIGUOUS',
    `old_text occurs ${found.length} times in ${place.shown} (lines ${lineNumbers(text, found)}). Nothing was changed. ` +
      'Include more of the surrounding lines so that it is unique, or set replace_all.',
  );
}

function textNotFound(place: WorkspacePath, text: string, wanted: string): ToolFault {
  let hint = 'Read the file and copy the text exactly, with its spaces and indentation.';
  if (wanted.trim() !== '' && squeeze(text).includes(squeeze(wanted))) {
    hint = 'It occurs with other spaces or line breaks: copy it exactly from read_file.';
  }
  return new ToolFault('TEXT_NOT_FOUND', `old_text does not occur in ${place.shown}. Nothing was changed. ${hint}`);
}

function squeeze(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}
