/** Authorization servers whose answers are not quite by the book. */
import t from 'tap';
import type { OAuthServer } from '../../../../helpers/oauth-server.js';
import { oauthServer, TestHost } from './oauth-kit.js';

type Bend = OAuthServer['bend'];

const form = (fields: Record<string, unknown>): string =>
  new URLSearchParams(
    Object.entries(fields).map(([name, value]): [string, string] => [name, String(value)]),
  ).toString();

const without = (fields: Record<string, unknown>, name: string): Record<string, unknown> => {
  const { [name]: _gone, ...rest } = fields;
  return rest;
};

const PAGE = '<html>welcome</html>';

const READ: Record<string, Bend> = {
  'metadata with nulls': {
    metadata: (fields) => ({
      ...fields,
      scopes_supported: null,
      service_documentation: null,
      introspection_endpoint: null,
      grant_types_supported: null,
      response_modes_supported: null,
      code_challenge_methods_supported: null,
      client_id_metadata_document_supported: null,
    }),
  },
  'metadata with empty texts and lists': {
    metadata: (fields) => ({
      ...fields,
      service_documentation: '',
      revocation_endpoint: '',
      op_policy_uri: '',
      code_challenge_methods_supported: [],
      response_types_supported: [],
    }),
  },
  'metadata with optional addresses that are none': {
    metadata: (fields) => ({ ...fields, service_documentation: 'see the manual', revocation_endpoint: 5 }),
  },
  'metadata without its response types': { metadata: (fields) => without(fields, 'response_types_supported') },
  'metadata with a text where a list is meant': {
    metadata: (fields) => ({ ...fields, response_types_supported: 'code', code_challenge_methods_supported: 'S256' }),
  },
  'metadata with paths alone': { metadata: (fields) => ({ ...fields, token_endpoint: '/token' }) },
  'a page in place of metadata, and OpenID’s with the least that is needed': {
    metadata: () => PAGE,
    openid: (fields) => without(fields, 'response_types_supported'),
  },
  'resource metadata with nulls': {
    resource: (fields) => ({ ...fields, scopes_supported: ['read'], jwks_uri: null, resource_documentation: '' }),
  },
  'resource metadata without a resource': { resource: (fields) => without(fields, 'resource') },
  'one authorization server as a text': {
    resource: (fields) => ({ ...fields, authorization_servers: (fields['authorization_servers'] as string[])[0] }),
  },
  'a registration with nulls and empty texts': {
    registration: (fields) => ({ ...fields, client_uri: '', logo_uri: null, scope: '', contacts: null, tos_uri: '' }),
  },
  'a registration without the addresses that were registered': {
    registration: (fields) => without(fields, 'redirect_uris'),
  },
  'a registration whose times are texts': {
    registration: (fields) => ({ ...fields, client_id_issued_at: '1700000000', client_secret_expires_at: '0' }),
  },
  'tokens as a form': { token: form },
  'tokens with nulls': { token: (fields) => ({ ...fields, id_token: null, scope: null }) },
  'tokens with empty texts': { token: (fields) => ({ ...fields, scope: '', id_token: '' }) },
  'tokens without a type': { token: (fields) => without(fields, 'token_type') },
  'tokens whose life is a text': { token: (fields) => ({ ...fields, expires_in: '3600' }) },
  'tokens whose life is null': { token: (fields) => ({ ...fields, expires_in: null }) },
  'tokens without a refresh token': { token: (fields) => ({ ...fields, refresh_token: null }) },
  'tokens whose scope is a list': { token: (fields) => ({ ...fields, scope: ['read'] }) },
};

for (const [what, bend] of Object.entries(READ)) {
  t.test(`${what}: a login`, async (t) => {
    const as = await oauthServer(t);
    as.bend = bend;
    const host = await TestHost.start(t, { url: as.url });
    t.equal(await host.call('alice'), 'whoami: Alice');
  });
}

const named = (method: string, secret?: null): NonNullable<Bend['registration']> => {
  return (fields) => ({
    ...fields,
    token_endpoint_auth_method: method,
    ...(secret === null ? { client_secret: null } : {}),
  });
};
const bothMethods: NonNullable<Bend['metadata']> = (fields) => ({
  ...fields,
  token_endpoint_auth_methods_supported: ['client_secret_basic', 'none'],
});

const PUBLIC: Record<string, Bend> = {
  'that names client_secret_basic': { metadata: bothMethods, registration: named('client_secret_basic') },
  'that names client_secret_post, with null': {
    metadata: bothMethods,
    registration: named('client_secret_post', null),
  },
  'where only client_secret_basic is listed': { registration: named('client_secret_basic') },
  'that names no method': { metadata: bothMethods },
};

for (const [which, bend] of Object.entries(PUBLIC)) {
  t.test(`a registration without a secret ${which}: a login, which is renewed`, async (t) => {
    const as = await oauthServer(t);
    as.isPublic = true;
    as.bend = bend;
    const host = await TestHost.start(t, { url: as.url });
    t.equal(await host.call('alice'), 'whoami: Alice');
    as.revokeAll({ refreshTokens: false });
    t.equal(await host.call('alice'), 'whoami: Alice');
    t.strictSame(as.grants, ['authorization_code', 'refresh_token']);
  });
}

t.test('where no secret is needed, a client without one is registered', async (t) => {
  const as = await oauthServer(t);
  as.isPublic = true;
  as.bend = { metadata: bothMethods };
  const host = await TestHost.start(t, { url: as.url });
  t.equal(await host.call('alice'), 'whoami: Alice');
  t.equal(as.registered?.['token_endpoint_auth_method'], 'none');
});

const slashed = (value: unknown): string => `${String(value)}/`;
/** Where the person comes back it is as the metadata has it: that is compared as it is (RFC 9207). */
function slashMetadata(as: OAuthServer): void {
  as.bend.metadata = (fields) => ({ ...fields, issuer: slashed(fields['issuer']) });
  as.iss = slashed(as.issuer);
}

function slashResource(as: OAuthServer): void {
  as.bend.resource = (fields) => ({ ...fields, authorization_servers: [slashed(as.issuer)] });
}

const SLASHES: Record<string, (as: OAuthServer) => void> = {
  'in its metadata': slashMetadata,
  'in the resource’s metadata': slashResource,
  'in both': (as) => {
    slashMetadata(as);
    slashResource(as);
  },
};

for (const [where, set] of Object.entries(SLASHES)) {
  t.test(`a slash at the end of the issuer ${where}: a login`, async (t) => {
    const as = await oauthServer(t);
    set(as);
    const host = await TestHost.start(t, { url: as.url });
    t.equal(await host.call('alice'), 'whoami: Alice');
  });
}

t.test('a slash at the end of the resource: a login, for the resource as it is named', async (t) => {
  const as = await oauthServer(t);
  as.resource = slashed(as.url);
  const host = await TestHost.start(t, { url: as.url });
  t.equal(await host.call('alice'), 'whoami: Alice');
  t.equal(as.authorizations[0]?.get('resource'), as.resource);
});

t.test('a resource below the server’s address is still another one', async (t) => {
  const as = await oauthServer(t);
  for (const path of ['//', '/x/', 'x/']) {
    as.resource = `${as.url}${path}`;
    const host = await TestHost.start(t, { url: as.url });
    await t.rejects(host.call('alice'), { code: 'ERR_MCP', message: /not its own address/ });
  }
  t.strictSame([as.registrations, as.authorizations.length], [0, 0]);
});

t.test('the issuer that a person comes back with is compared as it is', async (t) => {
  const as = await oauthServer(t);
  as.iss = slashed(as.issuer);
  const host = await TestHost.start(t, { url: as.url });
  await t.rejects(host.call('alice'), { code: 'ERR_MCP_LOGIN', message: /issuer/ });
});

t.test('another issuer is still refused', async (t) => {
  const as = await oauthServer(t);
  as.bend = { metadata: (fields) => ({ ...fields, issuer: `${as.issuer}//` }) };
  const host = await TestHost.start(t, { url: as.url });
  await t.rejects(host.call('alice'), { code: 'ERR_MCP', message: /issuer/ });
});

const FAILING: Record<string, [bend: Bend, message: RegExp]> = {
  'metadata without a token endpoint': [
    { metadata: (fields) => ({ ...fields, token_endpoint: '' }) },
    /metadata has no token_endpoint/,
  ],
  'a token endpoint that is no address': [
    { metadata: (fields) => ({ ...fields, token_endpoint: 'secret' }) },
    /metadata has a token_endpoint that is not as it must be/,
  ],
  'a resource that is no address': [
    { resource: (fields) => ({ ...fields, resource: 'secret' }) },
    /resource metadata has a resource that is not as it must be/,
  ],
  'a registration without a client id': [
    { registration: (fields) => ({ ...fields, client_id: null }) },
    /registration has no client_id/,
  ],
  'tokens without an access token': [
    { token: (fields) => without(fields, 'access_token') },
    /token answer has no access_token/,
  ],
  'an error as a form, with 200': [{ token: () => 'error=bad_verification_code' }, /says bad_verification_code/],
  'a page in place of tokens': [{ token: () => PAGE }, /token answer is neither JSON nor a form/],
};

for (const [what, [bend, message]] of Object.entries(FAILING)) {
  t.test(`${what}: an error that names it, and quotes nothing`, async (t) => {
    const as = await oauthServer(t);
    as.bend = bend;
    const host = await TestHost.start(t, { url: as.url });
    const error = await host.call('alice').catch((error: unknown) => error as Error);
    t.match(error, { message });
    t.notMatch(error, { message: /secret/ });
  });
}
