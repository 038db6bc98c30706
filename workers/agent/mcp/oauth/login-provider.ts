/** The first leg of a login, as the SDK's `auth()` wants it: it leaves us a URL for the person and a verifier. Agent threads. */
import type {
  OAuthClientInformationContext,
  OAuthClientMetadata,
  OAuthClientProvider,
  OAuthDiscoveryState,
  StoredOAuthClientInformation,
} from '@modelcontextprotocol/client';
import { clientMetadata, type OAuthIdentity } from '../../../../src/shared/oauth-identity.js';

export interface LoginProviderOptions {
  identity: OAuthIdentity;
  state: string;
  discovery: OAuthDiscoveryState;
  /** A client of ours that the authorization server knows. */
  client?: StoredOAuthClientInformation;
  /** Of the configuration: there is no other one to be had. */
  fixed: boolean;
  saveClient: (info: StoredOAuthClientInformation) => Promise<void>;
}

export class LoginProvider implements OAuthClientProvider {
  readonly redirectUrl: string;
  readonly clientMetadata: OAuthClientMetadata;
  readonly clientMetadataUrl?: string;
  /** Not there at all where the client is fixed: by that the SDK knows that it must not register another one. */
  readonly saveClientInformation?: (info: StoredOAuthClientInformation) => Promise<void>;
  readonly #options: LoginProviderOptions;
  #client: StoredOAuthClientInformation | undefined;
  #verifier = '';
  #url: URL | undefined;

  constructor(options: LoginProviderOptions) {
    const { identity, discovery, fixed, client, saveClient } = options;
    this.#options = options;
    this.#client = client;
    this.redirectUrl = identity.redirectUrl;
    const method = registeredMethod(discovery);
    this.clientMetadata = {
      ...clientMetadata(identity.redirectUrl),
      ...(method === undefined ? {} : { token_endpoint_auth_method: method }),
    };
    if (identity.clientMetadataUrl !== undefined) this.clientMetadataUrl = identity.clientMetadataUrl;
    if (!fixed) {
      this.saveClientInformation = async (info) => {
        this.#client = info;
        await saveClient(info);
      };
    }
  }

  /** What came of it; undefined: the SDK has not got so far. */
  get result(): { url: URL; verifier: string; client: StoredOAuthClientInformation } | undefined {
    if (!this.#url || !this.#client) return undefined;
    return { url: this.#url, verifier: this.#verifier, client: this.#client };
  }

  state(): string {
    return this.#options.state;
  }

  clientInformation(context?: OAuthClientInformationContext): StoredOAuthClientInformation | undefined {
    // One that is fixed and has no issuer of its own belongs to whatever server it is configured for.
    if (this.#client && this.#client.issuer === undefined && context) {
      this.#client = { ...this.#client, issuer: context.issuer };
    }
    return this.#client;
  }

  tokens(): undefined {
    return undefined;
  }

  saveTokens(): void {
    throw new Error('the first leg of a login brings no tokens');
  }

  redirectToAuthorization(url: URL): void {
    this.#url = url;
  }

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }

  codeVerifier(): string {
    return this.#verifier;
  }

  discoveryState(): OAuthDiscoveryState {
    return this.#options.discovery;
  }
}

/** How we say who we are at the token endpoint; undefined: as the authorization server likes, a secret in the header. */
function registeredMethod({ authorizationServerMetadata }: OAuthDiscoveryState): string | undefined {
  const known = authorizationServerMetadata?.token_endpoint_auth_methods_supported ?? [];
  if (known.length === 0) return undefined;
  return ['client_secret_basic', 'client_secret_post', 'none'].find((method) => known.includes(method));
}
