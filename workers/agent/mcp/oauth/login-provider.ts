/** The provider for the SDK's `auth()` at the start of a login: it yields the URL for the user and a verifier. Agent threads. */
import type {
  OAuthClientInformationContext,
  OAuthClientMetadata,
  OAuthClientProvider,
  OAuthDiscoveryState,
  StoredOAuthClientInformation,
} from '@modelcontextprotocol/client';
import { clientMetadata, type OAuthIdentity } from '../../../../src/shared/oauth-identity.js';
import { resourceOf } from './discovery.js';

export interface LoginProviderOptions {
  identity: OAuthIdentity;
  state: string;
  discovery: OAuthDiscoveryState;
  /** Our registered client there. */
  client?: StoredOAuthClientInformation;
  /** The client is from the configuration: no other may be registered. */
  fixed: boolean;
  saveClient: (info: StoredOAuthClientInformation) => Promise<void>;
}

export class LoginProvider implements OAuthClientProvider {
  readonly redirectUrl: string;
  readonly clientMetadata: OAuthClientMetadata;
  readonly clientMetadataUrl?: string;
  /** Absent where the client is fixed, so that the SDK registers no other. */
  readonly saveClientInformation?: (info: StoredOAuthClientInformation) => Promise<void>;
  readonly #options: LoginProviderOptions;
  #client: StoredOAuthClientInformation | undefined;
  #verifier = '';
  #url: URL | undefined;

  constructor(options: LoginProviderOptions) {
    const { identity, discovery, fixed, client, saveClient } = options;
    this.#options = options;
    this.#client = client && withUsableMethod(client);
    this.redirectUrl = identity.redirectUrl;
    const method = registeredMethod(discovery);
    this.clientMetadata = {
      ...clientMetadata(identity.redirectUrl),
      ...(method === undefined ? {} : { token_endpoint_auth_method: method }),
    };
    if (identity.clientMetadataUrl !== undefined) this.clientMetadataUrl = identity.clientMetadataUrl;
    if (!fixed) {
      this.saveClientInformation = async (info) => {
        this.#client = withUsableMethod(info);
        await saveClient(this.#client);
      };
    }
  }

  /** Undefined until the SDK has made the URL. */
  get result(): { url: URL; verifier: string; client: StoredOAuthClientInformation } | undefined {
    if (!this.#url || !this.#client) return undefined;
    return { url: this.#url, verifier: this.#verifier, client: this.#client };
  }

  state(): string {
    return this.#options.state;
  }

  clientInformation(context?: OAuthClientInformationContext): StoredOAuthClientInformation | undefined {
    // A fixed client without an issuer belongs to the server that it is configured for.
    if (this.#client && this.#client.issuer === undefined && context) {
      this.#client = { ...this.#client, issuer: context.issuer };
    }
    return this.#client;
  }

  tokens(): undefined {
    return undefined;
  }

  saveTokens(): void {
    throw new Error('the start of a login brings no tokens');
  }

  redirectToAuthorization(url: URL): void {
    // The SDK takes a URL's text, which has a slash that a resource without a path may lack: both requests name it as published.
    for (const [name, value] of Object.entries(resourceOf(this.#options.discovery))) url.searchParams.set(name, value);
    this.#url = url;
  }

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }

  codeVerifier(): string {
    return this.#verifier;
  }

  /** `discover` has checked it, more tolerantly than the SDK would. */
  async validateResourceURL(_url: string | URL, resource?: string): Promise<URL | undefined> {
    return resource === undefined ? undefined : new URL(resource);
  }

  discoveryState(): OAuthDiscoveryState {
    return this.#options.discovery;
  }
}

/** The client authentication at the token endpoint; undefined: the default, a secret in the header. */
function registeredMethod({ authorizationServerMetadata }: OAuthDiscoveryState): string | undefined {
  const known = authorizationServerMetadata?.token_endpoint_auth_methods_supported ?? [];
  if (known.length === 0) return undefined;
  // `none` first: many servers that list it give no secret, whatever method they answer.
  return ['none', 'client_secret_basic', 'client_secret_post'].find((method) => known.includes(method));
}

/** Without a secret there is nothing to authenticate with, though many registrations name the method of those that have one. */
function withUsableMethod(info: StoredOAuthClientInformation): StoredOAuthClientInformation {
  if (info.client_secret !== undefined || !('token_endpoint_auth_method' in info)) return info;
  return { ...info, token_endpoint_auth_method: 'none' };
}
