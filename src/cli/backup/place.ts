/** Whose data are saved and restored: those of the installed service, else of this shell, as the doctor judges. Command line's process. */
import { loadConfig, type Config } from '../../shared/config.js';
import { FairleadError } from '../../shared/errors.js';
import { subjectOf, type Account, type SubjectOptions } from '../doctor/subject.js';

export interface Place {
  config: Config;
  dataDir: string;
  /** '': the embedded store. */
  redisUrl: string;
  environmentFiles: readonly string[];
  /** That the server runs as, where a service is installed. */
  account?: Account;
}

/** ERR_START where not all of it can be seen; ConfigError. */
export async function placeOf(options: SubjectOptions): Promise<Place> {
  const { env, cwd, account, findings, environmentFiles } = await subjectOf(options);
  const failed = findings.find(({ status }) => status === 'failed');
  if (failed) {
    const todo = failed.detail.includes('EACCES') ? 'put sudo in front' : failed.hint;
    throw new FairleadError('ERR_START', [failed.detail, todo].filter(Boolean).join(': '));
  }
  const config = loadConfig(env, cwd);
  const { dataDir, store } = config;
  return { config, dataDir, redisUrl: store.redisUrl, environmentFiles, ...(account && { account }) };
}
