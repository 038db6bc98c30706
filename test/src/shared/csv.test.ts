import t from 'tap';
import { toCsv } from '../../../src/shared/csv.js';

t.test('a name that a spreadsheet would run as a formula is text', async (t) => {
  for (const name of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', ' =1', '\r=1', '|calc', '%0A=1']) {
    const [, line = ''] = toCsv(['name'], [[name]]).split(/\r\n(?=")/);
    t.ok(line.startsWith(`"'`), JSON.stringify(line));
  }
  t.equal(toCsv(['name', 'amount'], [['ada', -1.5]]), 'name,amount\r\nada,-1.5\r\n', 'a number is a number');
});

t.test('quotes, commas, semicolons and line breaks stay inside of their cell', async (t) => {
  t.equal(toCsv(['a', 'b'], [['x"y', 'a,b;c\nd']]), 'a,b\r\n"x""y","a,b;c\nd"\r\n');
});
