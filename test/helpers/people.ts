/** People for tests that need somebody to act. */
import type { Person } from '../../src/shared/person.js';

export function personOf(user: string, more: Partial<Person> = {}): Person {
  return { user, role: 'user', groups: [], credential: 'file', ...more };
}
