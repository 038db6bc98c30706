/** The files of the session's workspace: a tree, what is in one of them, and the ways in and out. */
import { useCallback, useEffect, useRef, useState, useSyncExternalStore, type DragEvent } from 'react';
import { useOneColumn } from '../live/narrow.js';
import type { SessionStore } from '../live/session-store.js';
import type { ListedFile } from '../live/workspace.js';
import { oneLine } from '../model/plain.js';
import { sizeWords } from '../model/words.js';
import { Dialog } from './Dialog.js';
import { FilePreview } from './FilePreview.js';
import { wordsOf } from './words-of.js';

export interface FilesPaneProps {
  store: SessionStore;
  onClose: () => void;
}

interface Folder {
  files: readonly ListedFile[];
  isCut: boolean;
  savedAt?: number;
}

/** Since this pane was opened. */
type Change = 'new' | 'changed';

export function FilesPane({ store, onClose }: FilesPaneProps) {
  const isAlone = useOneColumn();
  const [Tag, Title] = isAlone ? (['main', 'h1'] as const) : (['aside', 'h2'] as const);
  const { workspace } = store;
  const { view } = useSyncExternalStore(store.subscribe, store.read);
  /** Changes when a call has ended, which may have changed something, and when it is said that something has changed. */
  const ended = `${view.items.filter((item) => item.kind === 'tool' && item.ms !== undefined).length} ${view.filesAt}`;
  const [folders, setFolders] = useState<ReadonlyMap<string, Folder>>(new Map());
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set(['']));
  const [changes, setChanges] = useState<ReadonlyMap<string, Change>>(new Map());
  const [shown, setShown] = useState<ListedFile>();
  const [problem, setProblem] = useState('');
  const [progress, setProgress] = useState('');
  const [doomed, setDoomed] = useState<ListedFile>();
  const [over, setOver] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  /** The entity tag of each file as it was listed last. */
  const known = useRef(new Map<string, string>());

  const load = useCallback(
    async (path: string): Promise<void> => {
      try {
        const folder = await workspace.list(path);
        const isFirst = !known.current.has(`folder ${path}`);
        known.current.set(`folder ${path}`, '');
        const found = new Map<string, Change>();
        for (const { path: file, etag } of folder.files) {
          if (etag === undefined) continue;
          const before = known.current.get(file);
          known.current.set(file, etag);
          if (!isFirst && before !== etag) found.set(file, before === undefined ? 'new' : 'changed');
        }
        if (found.size > 0) setChanges((all) => new Map([...all, ...found]));
        setFolders((all) => new Map(all).set(path, folder));
        setProblem('');
      } catch (error) {
        setProblem(wordsOf(error));
      }
    },
    [workspace],
  );

  // Again when a tool may have changed something.
  useEffect(() => {
    for (const path of open) void load(path);
  }, [open, load, ended]);

  const latest = shown && [...folders.values()].flatMap(({ files }) => files).find(({ path }) => path === shown.path);

  function toggle(path: string): void {
    setOpen((all) => {
      const next = new Set(all);
      if (!next.delete(path)) next.add(path);
      return next;
    });
  }

  async function upload(files: readonly File[]): Promise<void> {
    for (const [place, file] of files.entries()) {
      const which = files.length > 1 ? ` (${place + 1} of ${files.length})` : '';
      const tell = (part: number): void =>
        setProgress(`${oneLine(file.name, 40)}${which}: ${Math.round(part * 100)} %`);
      tell(0);
      try {
        await workspace.add(file, tell);
      } catch (error) {
        setProblem(`${oneLine(file.name, 80)} is not there: ${wordsOf(error)}`);
        break;
      }
    }
    setProgress('');
    await load('');
  }

  function onDrop(event: DragEvent): void {
    event.preventDefault();
    setOver(false);
    void upload([...event.dataTransfer.files]);
  }

  const root = folders.get('');
  return (
    <Tag
      className={over ? 'pane over' : 'pane'}
      aria-label="Files"
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={onDrop}
    >
      <header className="bar">
        <Title>Files</Title>
        <button className="button quiet small" type="button" onClick={() => picker.current?.click()}>
          Upload
        </button>
        <button
          className="button quiet small"
          type="button"
          onClick={() => [...open].forEach((path) => void load(path))}
        >
          Refresh
        </button>
        <button className="button quiet small" type="button" onClick={onClose}>
          Close
        </button>
        <input
          ref={picker}
          type="file"
          multiple
          hidden
          aria-label="Files to upload"
          onChange={(event) => {
            void upload([...(event.target.files ?? [])]);
            event.target.value = '';
          }}
        />
      </header>
      <p className="problem pane-line" role="alert">
        {problem}
      </p>
      {progress !== '' && (
        <p className="pane-line hint" role="status">
          {progress}
        </p>
      )}
      {root?.savedAt !== undefined && (
        <p className="pane-line hint">As saved at {new Date(root.savedAt).toLocaleString()}; no sandbox runs now.</p>
      )}
      <div className="tree">
        {!root && problem === '' && <p className="hint">Loading …</p>}
        {root?.files.length === 0 && (
          <p className="hint">Nothing here yet. Drop files here, or let the agent make some.</p>
        )}
        {root && (
          <Branch
            folder={root}
            folders={folders}
            open={open}
            changes={changes}
            current={shown?.path}
            addressOf={(path) => workspace.address(path)}
            onToggle={toggle}
            onShow={setShown}
            onDelete={setDoomed}
          />
        )}
      </div>
      {shown && (
        <FilePreview
          key={`${shown.path} ${latest?.etag ?? shown.etag ?? ''}`}
          workspace={workspace}
          file={latest ?? shown}
          onClose={() => setShown(undefined)}
        />
      )}
      {doomed && (
        <Dialog title={`Delete ${oneLine(doomed.path, 60)}?`} onClose={() => setDoomed(undefined)}>
          <p>
            {doomed.type === 'folder' ? 'The folder with all that is in it' : 'It'} is gone then, also for the agent.
          </p>
          <div className="acts">
            <button
              className="button danger"
              type="button"
              onClick={() => {
                setDoomed(undefined);
                if (shown?.path === doomed.path) setShown(undefined);
                void workspace.remove(doomed).then(
                  () => load(doomed.path.split('/').slice(0, -1).join('/')),
                  (error: unknown) => setProblem(wordsOf(error)),
                );
              }}
            >
              Delete
            </button>
            <button className="button" type="button" autoFocus onClick={() => setDoomed(undefined)}>
              Keep
            </button>
          </div>
        </Dialog>
      )}
    </Tag>
  );
}

interface BranchProps {
  folder: Folder;
  folders: ReadonlyMap<string, Folder>;
  open: ReadonlySet<string>;
  changes: ReadonlyMap<string, Change>;
  current: string | undefined;
  addressOf: (path: string) => string;
  onToggle: (path: string) => void;
  onShow: (file: ListedFile) => void;
  onDelete: (file: ListedFile) => void;
}

function Branch({ folder, ...rest }: BranchProps) {
  const { folders, open, changes, current, addressOf, onToggle, onShow, onDelete } = rest;
  return (
    <ul>
      {folder.files.map((file) => {
        const { path, type, size } = file;
        const name = oneLine(path.slice(path.lastIndexOf('/') + 1), 100);
        const change = changes.get(path);
        const inside = open.has(path) ? folders.get(path) : undefined;
        return (
          <li key={path}>
            <div className={path === current ? 'leaf current' : 'leaf'}>
              {type === 'folder' ? (
                <button type="button" aria-expanded={open.has(path)} onClick={() => onToggle(path)}>
                  <span aria-hidden="true">{open.has(path) ? '▾' : '▸'}</span> <span dir="auto">{name}/</span>
                </button>
              ) : (
                <button type="button" disabled={type !== 'file'} onClick={() => onShow(file)}>
                  <span dir="auto">{name}</span>
                  <span className="hint">{type === 'file' ? sizeWords(size) : type}</span>
                  {change && <span className="mark running">{change}</span>}
                </button>
              )}
              <span className="leaf-acts">
                {type === 'file' && (
                  <a className="button quiet small" href={addressOf(path)} download aria-label={`Download ${name}`}>
                    Download
                  </a>
                )}
                <button
                  className="button quiet small"
                  type="button"
                  aria-label={`Delete ${name}`}
                  onClick={() => onDelete(file)}
                >
                  Delete
                </button>
              </span>
            </div>
            {inside && <Branch folder={inside} {...rest} />}
          </li>
        );
      })}
      {folder.isCut && <li className="hint">… and more</li>}
    </ul>
  );
}
