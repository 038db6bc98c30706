import t from 'tap';
import { clientDocument, loginCookieName, oauthIdentity } from '../../../src/shared/oauth-identity.js';

const path = '/v1/mcp/oauth/callback';

function redirect(publicUrl: string | undefined, own: string): string {
  return oauthIdentity(publicUrl, own).redirectUrl;
}

t.test('the redirect URL has the public address, or our own where users can reach it', async (t) => {
  t.equal(redirect('https://agents.test/', 'http://127.0.0.1:3000'), `https://agents.test${path}`);
  t.equal(redirect('https://agents.test/fairlead', 'http://127.0.0.1:3000'), `https://agents.test/fairlead${path}`);
  t.equal(redirect(undefined, 'http://127.0.0.1:3000'), `http://127.0.0.1:3000${path}`);
  t.equal(redirect(undefined, 'http://0.0.0.0:3000'), `http://localhost:3000${path}`);
  t.equal(redirect(undefined, 'http://[::]:3000'), `http://localhost:3000${path}`);
});

t.test('only behind https there is a client id metadata document, which names itself', async (t) => {
  t.equal(clientDocument(oauthIdentity(undefined, 'http://127.0.0.1:3000')), undefined);
  const identity = oauthIdentity('https://agents.test', 'http://127.0.0.1:3000');
  t.match(clientDocument(identity), {
    client_id: 'https://agents.test/v1/mcp/oauth/client.json',
    redirect_uris: ['https://agents.test/v1/mcp/oauth/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
  });
  t.equal(identity.clientMetadataUrl, 'https://agents.test/v1/mcp/oauth/client.json');
});

t.test('the cookie of a login is of this host alone on https, and of one login', async (t) => {
  const https = oauthIdentity('https://agents.test/fairlead', 'http://127.0.0.1:3000');
  const http = oauthIdentity(undefined, 'http://127.0.0.1:3000');
  t.match(loginCookieName('a', https), /^__Host-fairlead-login-[0-9a-f]{16}$/);
  t.match(loginCookieName('a', http), /^fairlead-login-[0-9a-f]{16}$/);
  t.not(loginCookieName('a', http), loginCookieName('b', http));
  t.equal(https.loginUrl, 'https://agents.test/fairlead/v1/mcp/oauth/login/');
});
