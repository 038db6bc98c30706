/** A part that is loaded when it is first needed. */
import type { ComponentType } from 'react';

/** A server of another release has no such file any more: that is said where the part would stand. */
export async function lazyPart<P>(load: () => Promise<ComponentType<P>>): Promise<{ default: ComponentType<P> }> {
  try {
    return { default: await load() };
  } catch (error) {
    reportError(error);
    return { default: NotLoaded };
  }
}

function NotLoaded() {
  return (
    <p className="problem" role="alert">
      This part cannot be loaded: the server is away, or has another release now.{' '}
      <button className="button small" type="button" onClick={() => location.reload()}>
        Load the page again
      </button>
    </p>
  );
}
