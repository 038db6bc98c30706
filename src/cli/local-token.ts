/** The token that a command sends: what it is given, else for a server on this machine that of its data folder. Command line's process. */
import { statSync } from 'node:fs';
import { dataDirOf } from '../shared/config.js';
import { FairleadError } from '../shared/errors.js';
import { readTokenFile, tokenFile } from '../shared/token-file.js';
import { isOnThisMachine, parseEndpoint } from './endpoint.js';
import { strangersAt } from './listeners.js';

export interface TokenSource {
  /** Of `--token`. */
  given: string | undefined;
  url: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

export interface Credentials {
  token: string | undefined;
  /**
   * Call it before each connection. ERR_CONFIG when another account than the token's listens there: while the server is down,
   * any account of the machine can take its port and collect the token.
   */
  guard?: () => void;
}

/** ERR_START when the data folder's token is damaged or others may know it; ERR_CONFIG of `guard`, which is called once. */
export function tokenFor({ given, url, env = process.env, cwd = process.cwd() }: TokenSource): Credentials {
  const token = given ?? (env['FAIRLEAD_TOKEN'] || undefined);
  const endpoint = parseEndpoint(url);
  if (token !== undefined || !isOnThisMachine(endpoint)) return { token };
  const dataDir = dataDirOf(env, cwd);
  // Of root, where a service is installed; else that of the first start.
  const ofRoot = env['FAIRLEAD_LOCAL_TOKEN'] || undefined;
  const found = ofRoot ?? readTokenFile(dataDir, { owner: undefined });
  if (found === undefined) return { token: undefined };
  const { port, protocol } = new URL(endpoint.http);
  const owned = ofRoot === undefined ? tokenFile(dataDir) : dataDir;
  const known = new Set([0, statSync(owned, { throwIfNoEntry: false })?.uid ?? 0]);
  const guard = (): void => {
    const [stranger] = strangersAt(Number(port) || (protocol === 'https:' ? 443 : 80), known);
    if (stranger === undefined) return;
    throw new FairleadError(
      'ERR_CONFIG',
      `the account ${stranger} listens at ${url}, and the token of this machine is not for it: is the server running? Name another with --token, if that is right`,
    );
  };
  guard();
  return { token: found, guard };
}
