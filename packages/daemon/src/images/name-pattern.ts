/**
 * Patterns for image names, Go's path.Match: `*` and `?` stay within one path component, `[a-z]` and `[^a-z]` are classes,
 * a backslash escapes. Matching takes linear steps per star, whatever the pattern (no regular expression does).
 */
import { TsdError } from '@tsd/shared/errors';

type Token = '*' | ((character: string) => boolean);

export type NamePattern = (name: string) => boolean;

/** @throws TsdError `bad_parameter` for an unfinished class or escape. */
export function namePattern(pattern: string): NamePattern {
  const tokens = tokenize(pattern);
  return (name) => matches(tokens, name);
}

function matches(tokens: readonly Token[], name: string): boolean {
  let token = 0;
  let at = 0;
  // Where to go on when the last star has to take one more character.
  let starToken = -1;
  let starAt = 0;
  while (at < name.length || token < tokens.length) {
    const expected = tokens[token];
    if (expected === '*') {
      starToken = ++token;
      starAt = at;
    } else if (expected !== undefined && at < name.length && expected(name.charAt(at))) {
      token++;
      at++;
    } else {
      if (starToken === -1 || starAt >= name.length || name.charAt(starAt) === '/') return false;
      token = starToken;
      at = ++starAt;
    }
  }
  return true;
}

function tokenize(pattern: string): Token[] {
  const tokens: Token[] = [];
  let i = 0;
  const literal = (): string => {
    if (pattern.charAt(i) === '\\') i++;
    if (i >= pattern.length) throw badPattern(pattern);
    return pattern.charAt(i++);
  };
  while (i < pattern.length) {
    const character = pattern.charAt(i);
    if (character === '*') {
      i++;
      if (tokens.at(-1) !== '*') tokens.push('*');
    } else if (character === '?') {
      i++;
      tokens.push((other) => other !== '/');
    } else if (character === '[') {
      i++;
      const negated = pattern.charAt(i) === '^';
      if (negated) i++;
      const ranges: [string, string][] = [];
      while (pattern.charAt(i) !== ']' || ranges.length === 0) {
        const low = literal();
        if (pattern.charAt(i) !== '-') ranges.push([low, low]);
        else {
          i++;
          ranges.push([low, literal()]);
        }
      }
      i++;
      tokens.push((other) => other !== '/' && ranges.some(([low, high]) => low <= other && other <= high) !== negated);
    } else {
      const wanted = literal();
      tokens.push((other) => other === wanted);
    }
  }
  return tokens;
}

function badPattern(pattern: string): TsdError {
  return new TsdError('bad_parameter', `invalid filter 'reference=${pattern}': syntax error in pattern`);
}
