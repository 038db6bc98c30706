/** An object that always shows the values of now, for parts that are made once and read their settings with each use. Every thread; pure. */

/**
 * Each key reads `read()` anew, so its holder must not keep what it has read. Sent to another thread it is a snapshot, since a
 * structured clone reads every key.
 */
export function liveView<T extends object>(keys: readonly (keyof T)[], read: () => T): T {
  const view = {} as T;
  for (const key of keys) Object.defineProperty(view, key, { enumerable: true, get: () => read()[key] });
  return view;
}

/** Of a section whose keys are all there always. */
export function liveSection<T extends object>(read: () => T): T {
  return liveView(Object.keys(read()) as (keyof T)[], read);
}
