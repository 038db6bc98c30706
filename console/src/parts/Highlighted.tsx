/** Code in colours. The highlighter is loaded when the first code is shown; until then, and where it knows no such language, it is plain. */
import { useEffect, useState, type ReactNode } from 'react';

/** It takes a millisecond for some thousands of characters. */
const MOST = 50_000;

interface Tree {
  type: string;
  value?: string;
  properties?: { className?: readonly (string | number)[] | undefined };
  children?: readonly Tree[];
}

type Highlight = (language: string, text: string) => Tree | undefined;

let loading: Promise<Highlight> | undefined;

async function load(): Promise<Highlight> {
  const { common, createLowlight } = await import('lowlight');
  const lowlight = createLowlight(common);
  return (language, text) => (lowlight.registered(language) ? lowlight.highlight(language, text) : undefined);
}

export function Highlighted({ language, text }: { language: string; text: string }) {
  const [tree, setTree] = useState<Tree>();
  useEffect(() => {
    let isOver = false;
    if (text.length > MOST) return;
    loading ??= load();
    const waited = loading;
    void (async () => {
      const highlight = await waited;
      if (!isOver) setTree(highlight(language, text));
    })();
    return () => {
      isOver = true;
    };
  }, [language, text]);
  return <code>{tree ? render(tree, 0) : text}</code>;
}

/** As elements, never as HTML. */
function render({ type, value, properties, children = [] }: Tree, key: number): ReactNode {
  if (type === 'text') return value;
  const inside = children.map((child, place) => render(child, place));
  if (type === 'root') return inside;
  return (
    <span key={key} className={properties?.className?.join(' ')}>
      {inside}
    </span>
  );
}
