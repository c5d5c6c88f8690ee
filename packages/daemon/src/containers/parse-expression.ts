/**
 * What a regular expression says: RE2's syntax without flags, `\p`, `\Q` and `\C`.
 *
 * Literals, `.`, `[a-z]`, `[^a-z]`, `[[:alpha:]]`, `\d \s \w \D \S \W`, escapes, `^ $ \A \z \b \B`, `|`, `( )`, `(?: )`,
 * `(?P<name> )`, `* + ? {n} {n,} {n,m}` and their lazy forms, which match the same.
 */

export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
  /** It is an expression, but larger than what is matched. */
  readonly tooLarge: boolean;

  constructor(message: string, options: { readonly tooLarge?: boolean } = {}) {
    super(message);
    this.tooLarge = options.tooLarge ?? false;
  }
}

/** Of characters' numbers, both included. */
export type Range = readonly [first: number, last: number];
export type Assertion = 'begin' | 'end' | 'boundary' | 'no-boundary';
export type Expression =
  | { readonly kind: 'set'; readonly ranges: readonly Range[] }
  | { readonly kind: 'assertion'; readonly assertion: Assertion }
  | { readonly kind: 'sequence' | 'alternatives'; readonly nodes: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly node: Expression; readonly least: number; readonly most: number };

/** As in RE2. */
const MAX_REPEAT = 1000;
const MAX_DEPTH = 100;
const LAST_CODE_POINT = 0x10ffff;

const DIGITS: readonly Range[] = [[0x30, 0x39]];
const LOWER: readonly Range[] = [[0x61, 0x7a]];
const UPPER: readonly Range[] = [[0x41, 0x5a]];
export const WORD: readonly Range[] = [...DIGITS, ...UPPER, ...LOWER, [0x5f, 0x5f]];
/** RE2's `\s` has no vertical tab. */
const SPACE: readonly Range[] = [
  [0x09, 0x0a],
  [0x0c, 0x0d],
  [0x20, 0x20],
];
const NOT_NEWLINE = inverted([[0x0a, 0x0a]]);

const ESCAPED_SETS: Readonly<Record<string, readonly Range[]>> = {
  d: DIGITS,
  s: SPACE,
  w: WORD,
  D: inverted(DIGITS),
  S: inverted(SPACE),
  W: inverted(WORD),
};
const ESCAPED_CHARACTERS: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };
const ASSERTIONS: Readonly<Record<string, Assertion>> = { A: 'begin', z: 'end', b: 'boundary', B: 'no-boundary' };
const NAMED_SETS: Readonly<Record<string, readonly Range[]>> = {
  alnum: [...DIGITS, ...UPPER, ...LOWER],
  alpha: [...UPPER, ...LOWER],
  ascii: [[0, 0x7f]],
  blank: [
    [0x09, 0x09],
    [0x20, 0x20],
  ],
  cntrl: [
    [0, 0x1f],
    [0x7f, 0x7f],
  ],
  digit: DIGITS,
  graph: [[0x21, 0x7e]],
  lower: LOWER,
  print: [[0x20, 0x7e]],
  punct: [
    [0x21, 0x2f],
    [0x3a, 0x40],
    [0x5b, 0x60],
    [0x7b, 0x7e],
  ],
  space: [
    [0x09, 0x0d],
    [0x20, 0x20],
  ],
  upper: UPPER,
  word: WORD,
  xdigit: [...DIGITS, [0x41, 0x46], [0x61, 0x66]],
};

/** Everything that is in none of the ranges. */
function inverted(ranges: readonly Range[]): Range[] {
  const result: Range[] = [];
  let next = 0;
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    if (first > next) result.push([next, first - 1]);
    next = Math.max(next, last + 1);
  }
  if (next <= LAST_CODE_POINT) result.push([next, LAST_CODE_POINT]);
  return result;
}

/** @throws ExpressionError for what is none, with RE2's text, and for what nests too deeply */
export function parseExpression(source: string): Expression {
  let at = 0;
  let depth = 0;
  const rest = (): string => source.slice(at);
  const take = (text: string): boolean => {
    if (!source.startsWith(text, at)) return false;
    at += text.length;
    return true;
  };
  const next = (missing: string): string => {
    const code = source.codePointAt(at);
    if (code === undefined) throw new ExpressionError(missing);
    const character = String.fromCodePoint(code);
    at += character.length;
    return character;
  };

  function alternatives(): Expression {
    depth += 1;
    if (depth > MAX_DEPTH) throw new ExpressionError('expression nests too deeply', { tooLarge: true });
    const nodes = [sequence()];
    while (take('|')) nodes.push(sequence());
    depth -= 1;
    return { kind: 'alternatives', nodes };
  }

  function sequence(): Expression {
    const nodes: Expression[] = [];
    while (at < source.length && source[at] !== '|' && source[at] !== ')') nodes.push(repeated());
    return { kind: 'sequence', nodes };
  }

  function repeated(): Expression {
    if (repetition() !== null) throw new ExpressionError('missing argument to repetition operator');
    const node = single();
    const bounds = repetition();
    if (bounds === null) return node;
    take('?');
    if (repetition() !== null) throw new ExpressionError('invalid nested repetition operator');
    return { kind: 'repeat', node, least: bounds[0], most: bounds[1] };
  }

  /** A brace that does not read as a repetition is a character, as in RE2. */
  function repetition(): readonly [least: number, most: number] | null {
    if (take('*')) return [0, Number.POSITIVE_INFINITY];
    if (take('+')) return [1, Number.POSITIVE_INFINITY];
    if (take('?')) return [0, 1];
    const braces = /^\{(\d+)(?:(,)(\d*))?\}/.exec(source[at] === '{' ? source.slice(at, at + 16) : '');
    if (braces === null) return null;
    const [text, first, comma, last] = braces;
    at += text.length;
    const least = Number(first);
    const most = comma === undefined ? least : last === '' ? Number.POSITIVE_INFINITY : Number(last);
    if (least > MAX_REPEAT || (most > MAX_REPEAT && most !== Number.POSITIVE_INFINITY) || most < least) {
      throw new ExpressionError(`invalid repeat count: ${text}`);
    }
    return [least, most];
  }

  function single(): Expression {
    const character = next('');
    if (character === '.') return { kind: 'set', ranges: NOT_NEWLINE };
    if (character === '^') return { kind: 'assertion', assertion: 'begin' };
    if (character === '$') return { kind: 'assertion', assertion: 'end' };
    if (character === '[') return { kind: 'set', ranges: bracketed() };
    if (character === '(') {
      if (source[at] === '?' && !take('?:')) {
        const name = /^\?P?<\w+>/.exec(rest())?.[0];
        if (name === undefined || !take(name)) throw new ExpressionError('invalid or unsupported Perl syntax');
      }
      const node = alternatives();
      if (!take(')')) throw new ExpressionError('missing closing )');
      return node;
    }
    if (character !== '\\') return { kind: 'set', ranges: one(character) };
    const assertion = Object.hasOwn(ASSERTIONS, source[at] ?? '') ? ASSERTIONS[source[at] ?? ''] : undefined;
    if (assertion === undefined) return { kind: 'set', ranges: escaped() };
    at += 1;
    return { kind: 'assertion', assertion };
  }

  /** Behind a backslash. */
  function escaped(): readonly Range[] {
    const character = next('trailing backslash at end of expression');
    const set = Object.hasOwn(ESCAPED_SETS, character) ? ESCAPED_SETS[character] : undefined;
    if (set !== undefined) return set;
    if (Object.hasOwn(ESCAPED_CHARACTERS, character)) {
      const code = ESCAPED_CHARACTERS[character] ?? 0;
      return [[code, code]];
    }
    if (character === 'x') {
      const number = /^(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,8})\})/.exec(source.slice(at, at + 10));
      const code = Number.parseInt(number?.[1] ?? number?.[2] ?? '', 16);
      if (number !== null && code <= LAST_CODE_POINT) {
        at += number[0].length;
        return [[code, code]];
      }
    }
    if (/[^\w]/.test(character)) return one(character);
    throw new ExpressionError(`invalid escape sequence: \\${character}`);
  }

  /** Behind the opening bracket. */
  function bracketed(): readonly Range[] {
    const negated = take('^');
    const ranges: Range[] = [];
    for (let first = true; first || source[at] !== ']'; first = false) {
      const named = source[at] === '[' ? /^\[:(\^?)([a-z]+):\]/.exec(source.slice(at, at + 16)) : null;
      if (named !== null) {
        const set = Object.hasOwn(NAMED_SETS, named[2] ?? '') ? NAMED_SETS[named[2] ?? ''] : undefined;
        if (set === undefined) throw new ExpressionError(`invalid character class range: ${named[0]}`);
        at += named[0].length;
        ranges.push(...(named[1] === '^' ? inverted(set) : set));
        continue;
      }
      const low = bracketedCharacter();
      const isRange = source[at] === '-' && source[at + 1] !== ']';
      if (!isRange) {
        ranges.push(...low);
        continue;
      }
      at += 1;
      const high = bracketedCharacter();
      const [from, to] = [singleCode(low), singleCode(high)];
      if (from === null || to === null || to < from) throw new ExpressionError('invalid character class range');
      ranges.push([from, to]);
    }
    at += 1;
    return negated ? inverted(ranges) : ranges;
  }

  function bracketedCharacter(): readonly Range[] {
    const character = next('missing closing ]');
    return character === '\\' ? escaped() : one(character);
  }

  const node = alternatives();
  if (at < source.length) throw new ExpressionError('unexpected )');
  return node;
}

function one(character: string): readonly Range[] {
  const code = character.codePointAt(0) ?? 0;
  return [[code, code]];
}

function singleCode(ranges: readonly Range[]): number | null {
  const [range] = ranges;
  return ranges.length === 1 && range !== undefined && range[0] === range[1] ? range[0] : null;
}
