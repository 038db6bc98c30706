import t from 'tap';
import { FairleadError } from '../../../../src/shared/errors.js';
import {
  modelError,
  PassingFailure,
  RateRefusal,
  RefusedRequest,
} from '../../../../workers/agent/model/model-errors.js';
import { ModelHealth } from '../../../../workers/agent/model/model-health.js';

function watched(): { health: ModelHealth; told: (string | undefined)[] } {
  const told: (string | undefined)[] = [];
  return { health: new ModelHealth((why) => told.push(why)), told };
}

t.test('three failures in a row are an outage, told once, and the next answer ends it', (t) => {
  const { health, told } = watched();
  health.answered();
  for (let time = 0; time < 2; time++) health.failed(new PassingFailure('the model’s API cannot be reached'));
  health.answered();
  t.strictSame(told, [], 'bad luck');
  for (let time = 0; time < 10; time++) health.failed(modelError('the model’s API did not answer in time'));
  t.strictSame(told, ['the model’s API did not answer in time']);
  health.answered();
  health.answered();
  t.strictSame(told, ['the model’s API did not answer in time', undefined]);
  t.end();
});

t.test('what a request is to blame for says nothing of the API', (t) => {
  const { health, told } = watched();
  for (let time = 0; time < 10; time++) {
    health.failed(new RefusedRequest('too long', 'too long'));
    health.failed(new RateRefusal('too many'));
    health.failed(new FairleadError('ERR_CANCELLED', 'cancelled'));
  }
  t.strictSame(told, []);
  t.end();
});
