import t from 'tap';
import { dayOf, dayStart, dayText, monthOf, monthStart, parseDay } from '../../../src/shared/utc-period.js';

t.test('days and months begin at midnight UTC', async (t) => {
  for (const text of ['1970-01-01', '2026-02-28', '2026-12-31', '2028-02-29']) {
    const start = Date.parse(`${text}T00:00:00Z`);
    t.equal(dayText(dayOf(start)), text);
    t.equal(dayStart(dayOf(start)), start);
    t.equal(dayOf(start + 86_399_999), dayOf(start));
    t.equal(dayOf(start - 1), dayOf(start) - 1);
    t.equal(parseDay(text), dayOf(start));
  }
  t.equal(monthOf(Date.parse('2027-01-01T00:00:00Z')), monthOf(Date.parse('2026-12-31T23:59:59.999Z')) + 1);
  t.equal(monthStart(monthOf(Date.parse('2026-12-31T23:59:59.999Z'))), Date.parse('2026-12-01T00:00:00Z'));
});

t.test('what is no day is none', async (t) => {
  for (const text of ['', '2026-02-30', '2026-2-3', '2026-13-01', 'yesterday', '2026-02-03T00:00:00Z']) {
    t.equal(parseDay(text), undefined, text);
  }
});
