/** What the console makes of a call's arguments: a form to edit them in, and what they would change in a file. */
import t from 'tap';
import { editFields, readEdit, readJsonEdit } from '../../console/src/model/edit.js';
import { fileEditOf } from '../../console/src/model/file-edit.js';

const SCHEMA = {
  type: 'object',
  required: ['path'],
  properties: {
    path: { type: 'string', title: 'Path', description: 'Which file' },
    lines: { type: 'integer' },
    loud: { type: 'boolean' },
    mode: { enum: ['fast', 'slow'] },
    deep: { type: 'object', properties: {} },
  },
};

function entered(values: Record<string, string>): Pick<FormData, 'get'> {
  return { get: (name) => values[name] ?? null };
}

t.test('a form has a field for each argument of the schema, and JSON for what no field can show', async (t) => {
  const args = { path: 'a.txt', lines: 'many', deep: { a: [1] }, extra: null };
  const fields = editFields(SCHEMA, args);
  t.same(
    fields.map(({ name, kind, initial, required }) => [name, kind, initial, required]),
    [
      ['path', 'text', 'a.txt', true],
      ['lines', 'json', '"many"', false],
      ['loud', 'boolean', '', false],
      ['mode', 'choice', '', false],
      ['deep', 'json', JSON.stringify({ a: [1] }, undefined, 2), false],
      ['extra', 'json', 'null', false],
    ],
  );
  t.match(fields[0], { label: 'Path', hint: 'Which file' });
  t.same(editFields(undefined, args), [], 'without a schema');
  const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`a${index}`, { type: 'string' }]));
  t.same(editFields({ properties: many }, {}), [], 'too many to look over');
});

t.test('what nobody touches stays to the letter, what is empty and was not given is left out', async (t) => {
  const args = { path: 'a\r\nb', deep: { z: 1 }, lines: 3 };
  const fields = editFields(SCHEMA, args);
  const untouched = Object.fromEntries(fields.map(({ name, initial }) => [name, initial.replaceAll('\r\n', '\n')]));
  t.same(readEdit(fields, entered(untouched)), { args });
  const edited = { ...untouched, path: 'c\r\nd', lines: '7', loud: 'false', mode: 'slow', deep: '[]' };
  t.same(readEdit(fields, entered(edited)), { args: { path: 'c\nd', lines: 7, loud: false, mode: 'slow', deep: [] } });
  t.same(readEdit(fields, entered({ ...untouched, lines: '', path: '' })), { args: { path: '', deep: { z: 1 } } });
  t.match(readEdit(fields, entered({ ...untouched, lines: '1.5' })), { problem: /lines is no whole number/ });
  t.match(readEdit(fields, entered({ ...untouched, deep: '{' })), { problem: /deep is no JSON/ });
});

t.test('all arguments as JSON must be an object', async (t) => {
  t.same(readJsonEdit('{"a": 1}'), { args: { a: 1 } });
  t.match(readJsonEdit('[1]'), { problem: /an object/ });
  t.match(readJsonEdit('{'), { problem: /no JSON/ });
});

t.test('an edit of a file says what the file is after it, or why the call would fail', async (t) => {
  const edit = fileEditOf('edit_file', { path: 'a', old_text: 'x\n', new_text: '$&\n' })!;
  t.same(edit.change('1\r\nx\r\n2'), { after: '1\n$&\n2' }, 'whatever the line ends are');
  t.match(edit.change('none'), { problem: /not in the file/ });
  t.match(edit.change('x\nx\n'), { problem: /2 times/ });
  t.match(edit.change(undefined), { problem: /no such file/ });
  const all = fileEditOf('edit_file', { path: 'a', old_text: 'x', new_text: 'y', replace_all: true })!;
  t.same(all.change('x-x'), { after: 'y-y' });
  t.same(fileEditOf('write_file', { path: 'a', content: 'new' })!.change(undefined), { after: 'new' });
  t.same(
    [
      fileEditOf('run_command', { path: 'a', content: '' }),
      fileEditOf('write_file', { path: 7, content: '' }),
      fileEditOf('edit_file', { path: 'a', old_text: '', new_text: '' }),
    ],
    [undefined, undefined, undefined],
  );
});
