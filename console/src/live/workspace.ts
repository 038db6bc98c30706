/** The files of a session's workspace over HTTP, as the page needs them. */
import { ClientError, type Fairlead } from 'fairlead/client';

export interface ListedFile {
  path: string;
  type: 'file' | 'folder' | 'link' | 'other';
  size: number;
  mtimeMs: number;
  etag?: string;
}

interface Listing {
  files: ListedFile[];
  next?: string;
  /** They are those of a save, which began then. */
  savedAt?: number;
}

/** More are not read by anybody; the rest is told. */
const MOST_FILES = 2_000;
const PAGE = 500;

export class Workspace {
  readonly #client: Fairlead;
  readonly #base: string;

  constructor(client: Fairlead, session: string) {
    this.#client = client;
    this.#base = `/v1/sessions/${encodeURIComponent(session)}/files`;
  }

  /** All of a folder. `isCut`: there are more. */
  async list(path: string): Promise<{ files: ListedFile[]; isCut: boolean; savedAt?: number }> {
    const files: ListedFile[] = [];
    let after: string | undefined;
    let page: Listing;
    do {
      const query = new URLSearchParams({ path, limit: String(PAGE), ...(after !== undefined && { after }) });
      page = await this.#client.request<Listing>('GET', `${this.#base}?${query.toString()}`);
      files.push(...page.files);
      after = page.next;
    } while (after !== undefined && files.length < MOST_FILES);
    return {
      files,
      isCut: after !== undefined,
      ...(page.savedAt !== undefined && { savedAt: page.savedAt }),
    };
  }

  address(path: string): string {
    return `${this.#base}/content?${new URLSearchParams({ path }).toString()}`;
  }

  /** The beginning of a file. */
  async read(path: string, maxBytes: number): Promise<Blob> {
    const answer = await fetch(this.address(path), { headers: { range: `bytes=0-${maxBytes - 1}` } });
    if (answer.status === 416) return new Blob([]); // an empty file has no range
    if (!answer.ok) throw await failure(answer);
    return answer.blob();
  }

  /** `onProgress` gets what part of it has gone. Without `replace` a file that is there is an error: ERR_FILE_CHANGED. */
  write(path: string, file: Blob, { replace = false, onProgress }: WriteOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      // fetch does not say how far it is.
      const request = new XMLHttpRequest();
      request.open('PUT', this.address(path));
      if (!replace) request.setRequestHeader('if-none-match', '*');
      request.upload.onprogress = ({ loaded, total }) => onProgress?.(total === 0 ? 1 : loaded / total);
      request.onload = () => {
        if (request.status < 300) resolve();
        else reject(problemOf(request.responseText, request.status));
      };
      request.onerror = () => reject(new ClientError('ERR_UNAVAILABLE', `the upload of ${path} was cut`));
      request.send(file);
    });
  }

  /** Under its name, or a numbered one where that is taken. Resolves with the path. */
  async add(file: File, onProgress?: (part: number) => void): Promise<string> {
    const name = file.name.replaceAll('/', '_') || 'file';
    const dot = name.lastIndexOf('.');
    const [stem, ending] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ''];
    for (let number = 1; ; number++) {
      const path = number === 1 ? name : `${stem}-${number}${ending}`;
      try {
        await this.write(path, file, onProgress ? { onProgress } : {});
        return path;
      } catch (error) {
        if (!(error instanceof ClientError) || error.code !== 'ERR_FILE_CHANGED' || number === MOST_NAMES) throw error;
      }
    }
  }

  remove({ path, type }: ListedFile): Promise<void> {
    const query = new URLSearchParams({ path, ...(type === 'folder' && { recursive: 'true' }) });
    return this.#client.request('DELETE', `${this.#base}/content?${query.toString()}`);
  }
}

const MOST_NAMES = 20;

interface WriteOptions {
  replace?: boolean;
  onProgress?: (part: number) => void;
}

async function failure(answer: Response): Promise<ClientError> {
  return problemOf(await answer.text(), answer.status);
}

function problemOf(text: string, status: number): ClientError {
  try {
    const { code, detail } = JSON.parse(text) as { code?: string; detail?: string };
    return new ClientError(code ?? 'ERR_INTERNAL', detail ?? `the server answers ${status}`, { status });
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return new ClientError('ERR_INTERNAL', `the server answers ${status}`, { status });
  }
}
