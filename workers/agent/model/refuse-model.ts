/** Refuses a model that the configuration keeps for others. Pure; agent threads. */
import type { Config } from '../../../src/shared/config.js';
import { FairleadError } from '../../../src/shared/errors.js';
import { mayUseModel, modelRefusal } from '../../../src/shared/kept-for-groups.js';
import type { Standing } from '../../../src/shared/person.js';

/** ERR_MODEL_NOT_ALLOWED. A session keeps its model when its user leaves the group, or the configuration changes. */
export function refuseModel(
  { model: settings }: Pick<Config, 'model'>,
  model: string,
  who: Standing | undefined,
): void {
  if (!mayUseModel(settings, model, who)) throw new FairleadError('ERR_MODEL_NOT_ALLOWED', modelRefusal(model));
}
