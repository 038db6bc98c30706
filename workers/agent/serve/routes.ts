/** Which server has which prompt and which resource, as far as this user's clients have been told. Bounded; agent threads. */

const MAX_USERS = 500;
/** Of one user: those that were used last. */
const MAX_URIS = 1_000;

export interface PromptRoute {
  server: string;
  /** Its name there. */
  name: string;
}

interface UserRoutes {
  prompts: ReadonlyMap<string, PromptRoute>;
  /** uri, or template → server. */
  resources: Map<string, string>;
}

export class Routes {
  /** The least recently used goes first. */
  readonly #users = new Map<string, UserRoutes>();

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
    const routes = this.#users.get(user) ?? { prompts: new Map(), resources: new Map() };
    this.#users.delete(user);
    this.#users.set(user, routes);
    if (this.#users.size > MAX_USERS) this.#users.delete(this.#users.keys().next().value!);
    return routes;
  }
}
