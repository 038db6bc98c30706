import { Dialog } from './Dialog.js';

const KEYS: readonly [string, string][] = [
  ['Ctrl/⌘ K', 'search conversations'],
  ['/', 'write a message'],
  ['Enter', 'send; on a focused button: press it'],
  ['Shift Enter', 'a new line in the message'],
  ['Esc', 'stop the turn, from the message; close what is open'],
  ['Tab', 'to the next call, button or text that scrolls'],
  ['?', 'show this'],
];

export function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p>
        For programs: <a href="/docs">the interfaces</a>
      </p>
      <div className="acts">
        <button className="button" type="button" autoFocus onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
