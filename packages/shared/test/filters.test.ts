import t from 'tap';
import { booleanFilter, encodeFilters, matchesLabels, parseFilterArguments, parseFilters } from '../src/filters.ts';

t.test('both wire forms', async (t) => {
  for (const text of ['{"label":{"a=b":true,"c":true,"no":false}}', '{"label":["a=b","c"]}']) {
    t.strictSame([...parseFilters(text)], [['label', ['a=b', 'c']]]);
  }
  for (const text of [undefined, '', '{}', 'null']) t.equal(parseFilters(text).size, 0);
  for (const text of ['[', '[]', '1', '{"a":1}', '{"a":[1]}', '{"a":"b"}']) {
    t.throws(() => parseFilters(text), { code: 'bad_parameter', message: /^invalid filter/ }, text);
  }
  t.throws(() => parseFilters('{"nope":["x"]}', new Set(['label'])), { message: "invalid filter 'nope'" });
  const filters = parseFilterArguments(['label=a=b', 'label=c', 'Status=running']);
  t.strictSame(
    [...parseFilters(encodeFilters(filters))],
    [
      ['label', ['a=b', 'c']],
      ['status', ['running']],
    ],
  );
  t.throws(() => parseFilterArguments(['nonsense']), { message: /bad format of filter/ });
});

t.test('booleans', async (t) => {
  t.equal(booleanFilter(parseFilters('{"dangling":{"true":true}}'), 'dangling'), true);
  t.equal(booleanFilter(parseFilters('{"dangling":["0"]}'), 'dangling'), false);
  t.equal(booleanFilter(parseFilters('{}'), 'dangling'), undefined);
  t.throws(() => booleanFilter(parseFilters('{"dangling":["x"]}'), 'dangling'), {
    message: "invalid filter 'dangling=[x]'",
  });
  t.throws(() => booleanFilter(parseFilters('{"dangling":["true","false"]}'), 'dangling'));
});

t.test('labels', async (t) => {
  const labels = { a: 'b', c: '' };
  const matches = (text: string): boolean => matchesLabels(parseFilters(text), labels);
  t.ok(matches('{}'));
  t.ok(matches('{"label":["a","a=b","c="]}'));
  t.notOk(matches('{"label":["a=x"]}'));
  t.notOk(matches('{"label":["a","toString"]}'));
  t.notOk(matches('{"label!":["a=b"]}'));
  t.ok(matches('{"label!":["a=x"]}'));
});
