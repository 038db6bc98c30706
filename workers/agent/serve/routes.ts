/** Remembers which server has which prompt and resource, as listed to each user's clients. Bounded; agent threads. */
import { LRUCache } from 'lru-cache';

const MAX_USERS = 500;
/** Limit for one user; the most recently used are kept. */
const MAX_URIS = 1_000;

export interface PromptRoute {
  server: string;
  /** Its name at the server. */
  name: string;
}

interface UserRoutes {
  prompts: ReadonlyMap<string, PromptRoute>;
  /** URI or template → server. Not an lru-cache, which allocates its whole bound at once: 24 KB for each user. */
  resources: Map<string, string>;
}

export class Routes {
  readonly #users = new LRUCache<string, UserRoutes>({ max: MAX_USERS });

  setPrompts(user: string, prompts: ReadonlyMap<string, PromptRoute>): void {
    this.#of(user).prompts = prompts;
  }

  prompt(user: string, name: string): PromptRoute | undefined {
    return this.#of(user).prompts.get(name);
  }

  setResource(user: string, uri: string, server: string): void {
    const { resources } = this.#of(user);
    resources.delete(uri);
    resources.set(uri, server);
    if (resources.size > MAX_URIS) resources.delete(resources.keys().next().value!);
  }

  resource(user: string, uri: string): string | undefined {
    return this.#of(user).resources.get(uri);
  }

  #of(user: string): UserRoutes {
    const known = this.#users.get(user);
    if (known) return known;
    const routes: UserRoutes = { prompts: new Map(), resources: new Map() };
    this.#users.set(user, routes);
    return routes;
  }
}
