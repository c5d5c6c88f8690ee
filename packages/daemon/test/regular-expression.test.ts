/**
 * Security: a filter's regular expression must not stop the daemon. V8's engine takes exponential time for `(a|a)*#`, which
 * `ps --filter name=(a|a)*#` once hung the daemon with.
 */
import t from 'tap';
import { MAX_EXPRESSION_SIZE, regularExpression } from '../src/containers/regular-expression.ts';

/** A busy machine is given time; what this is about takes years. */
const LIMIT_MS = 1000;

t.test('expressions that make a backtracking engine hang are matched at once', async (t) => {
  const long = 'a'.repeat(64);
  for (const source of [
    '(a|a)*#',
    '(a*)*#',
    '(a+)+#',
    '((a|aa)+)+#',
    '(a|b|ab|a)*(a|a)*#',
    '(.*a){20}#',
    'a*a*a*a*a*a*a*a*a*#',
    '(a?){60}a{60}#',
    '([a-z]+)*#',
    '(a|[a-z])*?#',
    '(((a*)*)*)*#',
    '(|a)*#',
    '(^)*(^|$|\\b)*#',
  ]) {
    const startMs = performance.now();
    t.notOk(regularExpression(source).matches(long), source);
    t.ok(regularExpression(source).matches(`${long}#`) || source.startsWith('(^'), source);
    t.ok(performance.now() - startMs < LIMIT_MS, `${source} takes less than ${LIMIT_MS} ms`);
  }
});

t.test('what would need much memory or time to compile is refused at once', async (t) => {
  for (const source of [
    'a{1000}',
    '(a{100}){100}',
    '((((a{99}){99}){99}){99}){99}',
    '(((((){1000}){1000}){1000}){1000}){1000}',
    'a|'.repeat(1000),
    `[${'ac'.repeat(600)}]`,
    `${'('.repeat(5000)}${')'.repeat(5000)}`,
    '('.repeat(100_000),
    `${'[a-z]'.repeat(100_000)}`,
  ]) {
    const startMs = performance.now();
    t.throws(() => regularExpression(source), { name: 'ExpressionError', tooLarge: true }, source.slice(0, 40));
    t.ok(performance.now() - startMs < LIMIT_MS, source.slice(0, 40));
  }
  t.ok(regularExpression('[a-z0-9]{1,63}-[a-z0-9]{1,63}').size <= MAX_EXPRESSION_SIZE);
});

t.test('what is no expression, or one that is not supported', async (t) => {
  for (const [source, message] of [
    ['*a', 'missing argument to repetition operator'],
    ['a**', 'invalid nested repetition operator'],
    ['a+?+', 'invalid nested repetition operator'],
    ['(a', 'missing closing )'],
    ['a)', 'unexpected )'],
    ['[a', 'missing closing ]'],
    ['[', 'missing closing ]'],
    ['[z-a]', 'invalid character class range'],
    ['[\\d-z]', 'invalid character class range'],
    ['[[:nope:]]', 'invalid character class range: [:nope:]'],
    ['a{2,1}', 'invalid repeat count: {2,1}'],
    ['a{1001}', 'invalid repeat count: {1001}'],
    ['a\\', 'trailing backslash at end of expression'],
    ['(a)\\1', 'invalid escape sequence: \\1'],
    ['\\pL', 'invalid escape sequence: \\p'],
    ['\\x{110000}', 'invalid escape sequence: \\x'],
    ['(?=a)', 'invalid or unsupported Perl syntax'],
    ['(?<!a)', 'invalid or unsupported Perl syntax'],
    ['(?i)a', 'invalid or unsupported Perl syntax'],
  ] as const) {
    t.throws(() => regularExpression(source), { message, tooLarge: false }, source);
  }
});

t.test('what differs from V8, as in RE2', async (t) => {
  for (const [source, text, expected] of [
    ['[[:alpha:]]+\\z', 'x1', false],
    ['\\A[[:^digit:]]', 'x1', true],
    ['^[]a]$', ']', true],
    ['^[^]a]$', ']', false],
    ['(?P<name>x)y', 'xy', true],
    ['\\x{1F600}', '\u{1F600}', true],
    ['^.$', '\u{1F600}', true],
    ['a{,2}', 'a{,2}', true],
    ['\\s', '\v', false],
    ['', '', true],
    ['', 'x', true],
  ] as const) {
    t.equal(regularExpression(source).matches(text), expected, `${source} on ${text}`);
  }
});

t.test('random expressions match as with V8', async (t) => {
  // A fixed seed: xorshift32.
  let state = 0x2545f491;
  const random = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  const atoms = [
    'a',
    'b',
    '.',
    '[ab]',
    '[^a]',
    '\\w',
    '\\d',
    '\\W',
    '[a\\d-]',
    '^',
    '$',
    '\\b',
    '\\B',
    '\\.',
    'é',
    '{',
    '/',
  ];
  const quantifiers = ['', '', '', '*', '+', '?', '*?', '{2}', '{0,2}', '{1,}', '{0}'];
  const expression = (depth: number): string => {
    const parts = Array.from({ length: 1 + random(3) }, () => {
      const choice = depth > 0 ? random(4) : 0;
      if (choice === 0) {
        const atom = pick(atoms);
        return /^(\^|\$|\\b|\\B|\{)$/i.test(atom) ? atom : atom + pick(quantifiers);
      }
      const inner = choice === 1 ? expression(depth - 1) : `${expression(depth - 1)}|${expression(depth - 1)}`;
      return `(${choice === 2 ? '?:' : ''}${inner})${pick(quantifiers)}`;
    });
    return parts.join('');
  };
  const differences: string[] = [];
  let matched = 0;
  for (let count = 0; count < 3000; count += 1) {
    const source = expression(2);
    const own = regularExpression(source);
    const reference = new RegExp(source);
    for (let tries = 0; tries < 4; tries += 1) {
      const text = Array.from({ length: random(7) }, () => pick(['a', 'b', '1', '.', 'é', '{', '/', '\n'])).join('');
      const expected = reference.test(text);
      if (expected) matched += 1;
      if (own.matches(text) !== expected) differences.push(`${source} on ${JSON.stringify(text)}: ${expected}`);
    }
  }
  t.strictSame(differences, []);
  t.ok(matched > 3000 && matched < 11_000, `${matched} of 12000 match`);
});
