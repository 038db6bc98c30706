/** The doctor's checks of who may come in, and of whether a running server takes the data folder's token. Command line's process. */
import type { Config } from '../../shared/config.js';
import { counted } from '../../shared/counted.js';
import { readIssuerKeys } from '../../shared/issuer-jwks.js';
import { readTokenFile, tokenFile } from '../../shared/token-file.js';
import { strangersAt } from '../listeners.js';
import { messageOf } from '../report.js';
import type { Finding } from './doctor.js';

const ANSWER_MS = 2_000;

/** `owner`: the account that the server runs as. */
export async function checkAccess(
  config: Config,
  { owner = process.geteuid?.(), signal }: { owner?: number | undefined; signal: AbortSignal },
): Promise<Finding[]> {
  return [...(await checkTokens(config, owner, signal)), ...(await checkIssuer(config))];
}

async function checkIssuer({ auth: { oidc }, proxies }: Config): Promise<Finding[]> {
  if (!oidc) return [];
  try {
    const { keys } = await readIssuerKeys({ issuer: oidc.issuer, proxies });
    return [{ status: 'ok', detail: `${oidc.issuer} answers, and has ${counted(keys.length, 'key')}` }];
  } catch (error) {
    const detail = `the keys of ${oidc.issuer} cannot be read: ${messageOf(error)}`;
    return [{ status: 'failed', detail, hint: 'auth.oidc.issuer must be the issuer’s own name, to the letter' }];
  }
}

async function checkTokens(
  { auth, dataDir, listen }: Config,
  owner: number | undefined,
  signal: AbortSignal,
): Promise<Finding[]> {
  if (auth.mode === 'none') {
    const hint = 'set auth.mode to token';
    return [{ status: 'warning', detail: 'auth.mode is none: every account of this machine is let in', hint }];
  }
  if (auth.tokens.length > 0)
    return [{ status: 'ok', detail: `${counted(auth.tokens.length, 'token')} of auth.tokens` }];
  let token: string | undefined;
  try {
    token = readTokenFile(dataDir, { owner });
  } catch (error) {
    return [{ status: 'failed', detail: messageOf(error) }];
  }
  if (token === undefined) return [{ status: 'ok', detail: `the first start makes a token, in ${tokenFile(dataDir)}` }];
  const found: Finding = { status: 'ok', detail: `the token in ${tokenFile(dataDir)}` };
  const [stranger] = strangersAt(listen.port, new Set([0, owner ?? 0]));
  if (stranger !== undefined) {
    const hint = 'it would learn what clients send: end it, or set PORT to another';
    return [{ status: 'failed', detail: `the account ${stranger} listens on the port ${listen.port}`, hint }];
  }
  const status = listen.port === 0 ? undefined : await askWith(token, listen, signal);
  if (status !== 401) return [found];
  const hint = 'it has auth.tokens, or another data folder: compare FAIRLEAD_DATA and FAIRLEAD_CONFIG';
  return [{ status: 'warning', detail: `the running server does not take ${found.detail}`, hint }];
}

/** The status of a question that needs a token; undefined when no server answers. */
function askWith(
  token: string,
  { host, port, tls }: Config['listen'],
  signal: AbortSignal,
): Promise<number | undefined> {
  // By its address its certificate would not be trusted, and the token is not given to whoever may listen there.
  if (tls) return Promise.resolve(undefined);
  const options = {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
  };
  return fetch(`http://${host.includes(':') ? `[${host}]` : host}:${port}/v1/sessions?limit=1`, options).then(
    async ({ status, body }) => {
      await body?.cancel();
      return status;
    },
    () => undefined,
  );
}
