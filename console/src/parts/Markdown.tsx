/** What the model writes. HTML in it is shown as text, pictures as links, and links lead to the web alone. */
import { memo, useMemo, useState, type ComponentProps } from 'react';
import ReactMarkdown, { type Components } from 'react-markdown';
import remarkGfm from 'remark-gfm';
import { pieces } from '../model/pieces.js';
import { safeLink, visible } from '../model/plain.js';
import { Highlighted } from './Highlighted.js';
import { LongText } from './LongText.js';

/** The parser takes long for more, and nobody reads so much in letters of a book. */
const MOST = 60_000;

const components: Components = {
  a: ({ href, children }) => <Link href={href}>{children}</Link>,
  img: ({ src, alt }) => (
    <Link href={typeof src === 'string' ? src : undefined}>{`picture: ${alt || 'without a name'}`}</Link>
  ),
  pre: ({ children }) => <Code>{children}</Code>,
  code: ({ className, children }) => {
    // Only a block says its language.
    const language = /language-([\w+#-]+)/.exec(className ?? '')?.[1];
    if (language === undefined || typeof children !== 'string') return <code>{children}</code>;
    return <Highlighted language={language.toLowerCase()} text={children} />;
  },
  table: ({ children }) => (
    // It scrolls, so the keyboard must reach it.
    <div className="table" tabIndex={0} role="group" aria-label="Table">
      <table>{children}</table>
    </div>
  ),
  // A heading of the model's is none of the page's.
  h1: Heading,
  h2: Heading,
  h3: Heading,
  h4: Heading,
  h5: Heading,
  h6: Heading,
  // A box that nobody can press.
  input: ({ checked }) => <span>{checked ? '☑ ' : '☐ '}</span>,
};

export function Markdown({ text, done }: { text: string; done: boolean }) {
  const shown = useMemo(() => visible(text), [text]);
  if (shown.length > MOST) return <LongText text={shown} tail={!done} />;
  return (
    <div className="prose" dir="auto">
      {done ? <Piece text={shown} /> : pieces(shown).map((piece, place) => <Piece key={place} text={piece} />)}
    </div>
  );
}

/** While a text grows, only its last piece is parsed again. */
const Piece = memo(function Piece({ text }: { text: string }) {
  return (
    <ReactMarkdown
      remarkPlugins={[remarkGfm]}
      components={components}
      urlTransform={(address) => safeLink(address) ?? ''}
    >
      {text}
    </ReactMarkdown>
  );
});

function Link({ href, children }: ComponentProps<'a'>) {
  const to = safeLink(href);
  if (to === undefined) return <span>{children}</span>;
  return (
    <a href={to} target="_blank" rel="noopener noreferrer nofollow" title={visible(to).slice(0, 500)}>
      {children}
    </a>
  );
}

function Heading({ children }: ComponentProps<'h1'>) {
  return (
    <p className="heading">
      <strong>{children}</strong>
    </p>
  );
}

function Code({ children }: ComponentProps<'pre'>) {
  const [copied, setCopied] = useState('');
  return (
    <div className="code">
      {/* It scrolls, so the keyboard must reach it. */}
      <pre tabIndex={0} role="group" aria-label="Code">
        {children}
      </pre>
      <button
        className="button quiet small copy"
        type="button"
        onClick={(event) => {
          const text = event.currentTarget.parentElement?.querySelector('pre')?.textContent ?? '';
          void copy(text).then((ok) => setCopied(ok ? 'Copied' : 'Select it by hand'));
        }}
      >
        {copied === '' ? 'Copy' : copied}
      </button>
    </div>
  );
}

/** False where the browser keeps the clipboard from pages without TLS. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch (error) {
    if (error instanceof DOMException || error instanceof TypeError) return false;
    throw error;
  }
}
