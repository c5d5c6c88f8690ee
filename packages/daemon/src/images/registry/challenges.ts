/** `WWW-Authenticate` headers, in all the forms that RFC 9110 (section 11.6.1) allows and registries send. */

export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** By their names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** More than any server sends; what follows is not read. */
const MAX_CHALLENGES = 16;
const MAX_PARAMETERS = 32;

const SEPARATORS = /[\s,]*/y;
const BLANKS = /\s*/y;
const TOKEN = /[^\s,;="()<>@\\[\]{}]+/y;
const QUOTED = /"((?:[^"\\]|\\[\s\S])*)(?:"|$)/y;

/**
 * The challenges of all headers in their order. One header may hold several, a challenge may have quoted or bare
 * parameters, one opaque token or nothing; separators may be missing. What cannot be read is skipped.
 */
export function parseChallenges(headers: readonly string[]): Challenge[] {
  return headers.flatMap(parseHeader).slice(0, MAX_CHALLENGES);
}

function parseHeader(text: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let position = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = position;
    const match = pattern.exec(text);
    if (match !== null) position = pattern.lastIndex;
    return match;
  };
  while (challenges.length <= MAX_CHALLENGES) {
    const separator = take(SEPARATORS)?.[0] ?? '';
    if (position >= text.length) break;
    const token = take(TOKEN)?.[0];
    if (token === undefined) {
      position++;
      continue;
    }
    const current = challenges.at(-1);
    take(BLANKS);
    if (text[position] !== '=') {
      // `Negotiate TOKEN`: what follows a scheme without a comma is its opaque token.
      const isOpaque = current?.parameters.size === 0 && challenges.length > 0 && !separator.includes(',');
      if (!isOpaque) challenges.push({ scheme: token.toLowerCase(), parameters: new Map() });
      continue;
    }
    position++;
    take(BLANKS);
    const quoted = take(QUOTED)?.[1];
    const value = quoted === undefined ? take(TOKEN_OR_URL)?.[0] : quoted.replace(/\\([\s\S])/g, '$1');
    // Nothing but `=` or a comma follows an opaque token's padding.
    if (value === undefined || current === undefined || current.parameters.size >= MAX_PARAMETERS) continue;
    if (!current.parameters.has(token.toLowerCase())) current.parameters.set(token.toLowerCase(), value);
  }
  return challenges;
}

/** A bare value ends at a blank or a comma: some servers leave the quotes of the realm's URL away. */
const TOKEN_OR_URL = /[^\s,"]+/y;
