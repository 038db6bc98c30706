/** Elements from text alone: nothing of a description is taken for markup. */

export function el<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Readonly<Record<string, string>>,
  children: readonly (Node | string)[],
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Text in which `backticks` mark code. */
export function words(text: string): (Node | string)[] {
  return text.split('`').map((part, index) => (index % 2 === 1 ? el('code', {}, [part]) : part));
}

/** An entry that opens: filled when it is opened for the first time. */
export function entry(head: readonly (Node | string)[], fill: () => Node[]): HTMLElement {
  const details = el('details', { class: 'docs-entry' }, [el('summary', {}, head)]);
  details.addEventListener('toggle', () => details.append(...fill()), { once: true });
  return details;
}
