/** The steps that a Debian package runs after its files are in place: account, folders, key and configuration. Pure. Command line's process. */
import type { Facts } from './facts.js';
import { ACCOUNT, type Layout } from './layout.js';
import { account, folder } from './plan-install.js';
import { allowPort } from './plan-unit.js';
import { writeFile, type Step } from './step.js';
import { environmentText } from './texts.js';

export interface ConfigureChoices {
  secretKey: string;
  /** Where the server will listen; undefined = its configuration is wrong. */
  port: number | undefined;
  environmentExample: string;
  /** The path of the configuration's JSON Schema. */
  schema: string;
}

/**
 * No administrator's token: apt keeps what a package prints. The first start makes a token in the data folder, which root and
 * the account can read.
 */
export function planConfigure(facts: Facts, layout: Layout, choices: ConfigureChoices): Step[] {
  const textOf = (secretKey: string): string =>
    environmentText(choices.environmentExample, { redisUrl: '', secretKey });
  const config = { $schema: choices.schema, sandbox: { driver: 'docker' } };
  return [
    ...account(facts, layout),
    ...folder(layout.folder, '0750', ACCOUNT, 'make the folder of the configuration'),
    ...(facts.texts.environment === undefined
      ? writeFile({
          path: layout.environment,
          text: textOf(choices.secretKey),
          shown: textOf('(a fresh key)'),
          mode: '0600',
          old: undefined,
          title: 'write the environment file with a fresh key',
        })
      : []),
    ...(facts.texts.config === undefined
      ? writeFile({
          path: layout.config,
          text: `${JSON.stringify(config, null, 2)}\n`,
          mode: '0640',
          group: ACCOUNT,
          old: undefined,
          title: 'write the configuration',
        })
      : []),
    ...allowPort(facts, layout, choices.port),
  ];
}
