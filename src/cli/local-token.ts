/** The token that a command sends: what it is given, else for a server on this machine that of its data folder. Command line's process. */
import { dataDirOf } from '../shared/config.js';
import { readTokenFile } from '../shared/token-file.js';
import { isOnThisMachine, parseEndpoint } from './endpoint.js';

export interface TokenSource {
  /** Of `--token`. */
  given: string | undefined;
  url: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

/** ERR_START when the data folder's token is damaged or others may know it. */
export function tokenFor({ given, url, env = process.env, cwd = process.cwd() }: TokenSource): string | undefined {
  const named = given ?? (env['FAIRLEAD_TOKEN'] || undefined);
  if (named !== undefined || !isOnThisMachine(parseEndpoint(url))) return named;
  return readTokenFile(dataDirOf(env, cwd), { owner: undefined });
}
