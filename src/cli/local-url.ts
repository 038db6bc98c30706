/** The address that a command asks when it is given none: that of this machine's server. Command line's process. */
import { readServerNote } from '../boot/server-note.js';
import { ConfigError, dataDirOf, loadConfig } from '../shared/config.js';
import { DEFAULT_URL } from './defaults.js';

export interface LocalUrl {
  url: string;
  /** The configuration cannot be read. */
  isGuess: boolean;
}

/** `given`: of the command line. */
export function urlOr(given: string | undefined): string {
  return given ?? localUrl().url;
}

/** As `serve` would listen here; where the configuration does not say, as the server of its data folder does. */
export function localUrl(env: NodeJS.ProcessEnv = process.env, cwd = process.cwd()): LocalUrl {
  const noted = (): string => readServerNote(dataDirOf(env, cwd)) ?? DEFAULT_URL;
  try {
    const { host, port, tls } = loadConfig(env, cwd).listen;
    const name = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
    return { url: port === 0 ? noted() : `${tls ? 'https' : 'http'}://${name}:${port}`, isGuess: false };
  } catch (error) {
    if (error instanceof ConfigError) return { url: noted(), isGuess: true };
    throw error;
  }
}
