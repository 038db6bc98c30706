/** Whether a list stays at its end while it grows: until the person scrolls up, and again when they are back at the end. */
import { useCallback, useEffect, useRef, useState } from 'react';

/** A scroll counts as the person's when an input of theirs came at most so long before it. */
const MOVES_MS = 1_000;
const INPUTS = ['wheel', 'touchmove', 'keydown', 'pointerdown'] as const;

export interface Follow {
  /** For the list's scrolling element. */
  scrollerRef: (element: HTMLElement | Window | null) => void;
  /** Call it when the list may have grown. */
  grown: () => void;
  /** Call it when the list says whether its end is shown. */
  endShown: (isShown: boolean) => void;
}

export function useFollow(): Follow {
  const [scroller, setScroller] = useState<HTMLElement | null>(null);
  const follows = useRef(true);

  useEffect(() => {
    if (!scroller) return;
    let inputAt = -Infinity;
    let held = false;
    let lastTop = scroller.scrollTop;
    const onInput = (event: Event): void => {
      inputAt = event.timeStamp;
      if (event.type === 'pointerdown') held = true;
    };
    const onRelease = (): void => {
      held = false;
    };
    // Growth and measuring move the list too, so a move counts only behind something that the person has done.
    const onScroll = (event: Event): void => {
      const isTheirs = held || event.timeStamp - inputAt < MOVES_MS;
      if (isTheirs && scroller.scrollTop < lastTop) follows.current = false;
      lastTop = scroller.scrollTop;
    };
    for (const type of INPUTS) scroller.addEventListener(type, onInput, { passive: true });
    addEventListener('pointerup', onRelease);
    scroller.addEventListener('scroll', onScroll, { passive: true });
    return () => {
      for (const type of INPUTS) scroller.removeEventListener(type, onInput);
      removeEventListener('pointerup', onRelease);
      scroller.removeEventListener('scroll', onScroll);
    };
  }, [scroller]);

  const grown = useCallback(() => {
    if (follows.current && scroller) scroller.scrollTop = scroller.scrollHeight;
  }, [scroller]);
  const endShown = useCallback((isShown: boolean) => {
    if (isShown) follows.current = true;
  }, []);
  const scrollerRef = useCallback((element: HTMLElement | Window | null) => {
    setScroller(element instanceof HTMLElement ? element : null);
  }, []);
  return { scrollerRef, grown, endShown };
}
