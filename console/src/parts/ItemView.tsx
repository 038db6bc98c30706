import { memo } from 'react';
import type { SessionStore } from '../live/session-store.js';
import type { EndItem, Item, NoticeItem, TextItem } from '../model/items.js';
import { oneLine, visible } from '../model/plain.js';
import { costWords, countWords, durationWords, stopWords } from '../model/words.js';
import { Markdown } from './Markdown.js';
import { Question } from './Question.js';
import { ToolCard } from './ToolCard.js';
import { UserMessage } from './UserMessage.js';

export interface ItemProps {
  item: Item;
  store: SessionStore;
}

/** An item that has not changed is not rendered again. */
export const ItemView = memo(function ItemView({ item, store }: ItemProps) {
  return <div className={`item ${item.kind}`}>{contentOf(item, store)}</div>;
});

function contentOf(item: Item, store: SessionStore) {
  switch (item.kind) {
    case 'user':
      return <UserMessage item={item} store={store} />;
    case 'text':
      return <Markdown text={item.text} done={item.done} />;
    case 'thinking':
      return <Thinking item={item} />;
    case 'tool':
      return <ToolCard call={item} store={store} />;
    case 'question':
      return <Question question={item} store={store} />;
    case 'end':
      return <End item={item} />;
    case 'notice':
      return <Notice item={item} />;
    default:
      return null;
  }
}

function Thinking({ item: { text, done } }: { item: TextItem }) {
  return (
    <details className="thought">
      <summary>{done ? 'Thought' : 'Thinks …'}</summary>
      <p dir="auto">{visible(text)}</p>
    </details>
  );
}

function End({ item: { stopReason, error, usage, ms, model, cost } }: { item: EndItem }) {
  const words = stopWords(stopReason);
  const read = usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
  return (
    <>
      {error && (
        <p className="problem" role="alert">
          The turn has failed: {visible(error.message)} <code>{error.code}</code> What was said before is kept.
        </p>
      )}
      {!error && words && <p className="note">{words}</p>}
      <p className="meta">
        {oneLine(model, 40)} · {durationWords(ms)} · {countWords(read)} in, {countWords(usage.outputTokens)} out
        {cost && ` · ${costWords(cost)}`}
      </p>
    </>
  );
}

function Notice({ item: { tone, text } }: { item: NoticeItem }) {
  return (
    <p className={`note ${tone}`} dir="auto">
      {visible(text)}
    </p>
  );
}
