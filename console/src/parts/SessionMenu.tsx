/** What can be done with a session in the list: another title, or its end. */
import { useState } from 'react';
import { Dialog } from './Dialog.js';
import { fieldOf } from './field-of.js';

export interface SessionMenuProps {
  name: string;
  onRename: (title: string) => Promise<void>;
  onDelete: () => Promise<void>;
}

export function SessionMenu({ name, onRename, onDelete }: SessionMenuProps) {
  const [open, setOpen] = useState<'rename' | 'delete'>();
  const close = (): void => setOpen(undefined);
  return (
    <span className="entry-acts">
      <button
        className="button quiet small"
        type="button"
        aria-label={`Rename ${name}`}
        onClick={() => setOpen('rename')}
      >
        Rename
      </button>
      <button
        className="button quiet small"
        type="button"
        aria-label={`Delete ${name}`}
        onClick={() => setOpen('delete')}
      >
        Delete
      </button>
      {open === 'rename' && (
        <Dialog title="Rename the conversation" onClose={close}>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              const title = fieldOf(event.currentTarget, 'title');
              close();
              if (title !== '') void onRename(title);
            }}
          >
            <label htmlFor="title">Title</label>
            <input id="title" name="title" defaultValue={name} maxLength={200} required autoFocus />
            <div className="acts">
              <button className="button primary" type="submit">
                Rename
              </button>
              <button className="button" type="button" onClick={close}>
                Keep it
              </button>
            </div>
          </form>
        </Dialog>
      )}
      {open === 'delete' && (
        <Dialog title="Delete the conversation?" onClose={close}>
          <p>
            <strong dir="auto">{name}</strong> goes with its history and its files. Nothing brings it back.
          </p>
          <div className="acts">
            <button
              className="button danger"
              type="button"
              onClick={() => {
                close();
                void onDelete();
              }}
            >
              Delete it
            </button>
            <button className="button" type="button" autoFocus onClick={close}>
              Keep it
            </button>
          </div>
        </Dialog>
      )}
    </span>
  );
}
