/** The page of both descriptions: HTTP and WebSocket, read from this server and shown as plain elements. */
import '../styles.css';
import './docs.css';
import { applyTheme } from '../live/theme.js';
import { el } from './elements.js';
import { httpSections, type OpenApi } from './http.js';
import { socketSections, type AsyncApi } from './socket.js';

export interface Section {
  id: string;
  title: string;
  words: string;
  items: HTMLElement[];
}

applyTheme();
const root = document.getElementById('docs')!;
try {
  const [http, socket] = await Promise.all([read<OpenApi>('/v1/openapi.json'), read<AsyncApi>('/v1/asyncapi.json')]);
  show(http, [...socketSections(socket), ...httpSections(http)]);
} catch (error) {
  root.replaceChildren(
    el('main', { class: 'docs-main' }, [
      el('h1', {}, ['The descriptions could not be read']),
      el('p', {}, [`${(error as Error).message}. Load the page again.`]),
    ]),
  );
}

async function read<T>(path: string): Promise<T> {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
  return (await answer.json()) as T;
}

function show({ info }: OpenApi, sections: readonly Section[]): void {
  const links = sections.map(({ id, title }) => el('li', {}, [el('a', { href: `#${id}` }, [title])]));
  root.replaceChildren(
    el('nav', { class: 'docs-nav', 'aria-label': 'Sections' }, [
      el('ul', {}, [el('li', {}, [el('a', { href: '/' }, ['← Console'])]), ...links]),
    ]),
    el('main', { class: 'docs-main' }, [
      el('h1', {}, [`Interfaces of Fairlead ${info.version}`]),
      el('p', {}, [
        'The descriptions themselves: ',
        el('a', { href: '/v1/openapi.json' }, ['OpenAPI 3.1']),
        ', ',
        el('a', { href: '/v1/asyncapi.json' }, ['AsyncAPI 3']),
        '.',
      ]),
      ...sections.map(({ id, title, words, items }) =>
        el('section', { 'aria-labelledby': id }, [el('h2', { id }, [title]), el('p', {}, [words]), ...items]),
      ),
    ]),
  );
  // The browser looked for the target before it was there.
  if (location.hash !== '') document.getElementById(location.hash.slice(1))?.scrollIntoView();
}
