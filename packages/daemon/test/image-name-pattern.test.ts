import t from 'tap';
import { namePattern } from '../src/images/name-pattern.ts';

t.test('as path.Match', async (t) => {
  for (const [pattern, name, expected] of [
    ['alpine', 'alpine', true],
    ['alpine', 'alpine:latest', false],
    ['*', 'alpine:latest', true],
    ['*', 'me/app', false],
    ['*/*', 'me/app:1', true],
    ['me/*:1', 'me/app:1', true],
    ['m*', 'me/app', false],
    ['a*e*l', 'alpine:retail', true],
    ['a**b', 'a-b', true],
    ['?lpine', 'alpine', true],
    ['?', '/', false],
    ['[a-c]pp', 'bpp', true],
    ['[^a-c]pp', 'bpp', false],
    ['[^a-c]pp', 'xpp', true],
    ['\\*', '*', true],
    ['\\*', 'x', false],
    ['', '', true],
    ['', 'x', false],
    ['x*', 'x', true],
    ['.+', 'aa', false],
  ] as const) {
    t.equal(namePattern(pattern)(name), expected, `${pattern} on ${name}`);
  }
});

t.test('unfinished patterns', async (t) => {
  for (const pattern of ['[', '[a', '[a-', '[]', '[^]', '\\', 'a\\']) {
    t.throws(() => namePattern(pattern), { code: 'bad_parameter', message: /syntax error in pattern/ }, pattern);
  }
});

t.test('many stars take no time', async (t) => {
  const startMs = performance.now();
  t.notOk(namePattern(`${'*a'.repeat(60)}*b`)('a'.repeat(250)));
  t.ok(performance.now() - startMs < 100);
});
