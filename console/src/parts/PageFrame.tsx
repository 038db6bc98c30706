/** The frame of a page that is no conversation. */
import type { ReactNode } from 'react';
import '../styles/pages.css';

export interface PageFrameProps {
  title: string;
  onBack: () => void;
  /** Beside the title. */
  acts?: ReactNode;
  children: ReactNode;
}

export function PageFrame({ title, onBack, acts, children }: PageFrameProps) {
  return (
    <main className="chat">
      <header className="bar">
        <button className="button quiet back" type="button" onClick={onBack}>
          ‹ Conversations
        </button>
        <h1>{title}</h1>
        {acts}
      </header>
      {/* It scrolls, so the keyboard must reach it. */}
      <div className="page" tabIndex={0} role="region" aria-label={title}>
        <div className="page-in">{children}</div>
      </div>
    </main>
  );
}
