/** Makes every string of a JSON value well-formed Unicode: the API refuses a whole request for half a surrogate pair. Pure; agent threads. */

/** Returns the value itself where nothing has to change. Half a pair becomes U+FFFD. */
export function wellFormed<T>(value: T): T {
  return fixed(value) as T;
}

function fixed(value: unknown): unknown {
  if (typeof value === 'string') return value.isWellFormed() ? value : value.toWellFormed();
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map(fixed);
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  let changed = false;
  const entries = Object.entries(value).map(([key, item]): [string, unknown] => {
    const [newKey, newItem] = [key.toWellFormed(), fixed(item)];
    changed ||= newKey !== key || newItem !== item;
    return [newKey, newItem];
  });
  return changed ? Object.fromEntries(entries) : value;
}
