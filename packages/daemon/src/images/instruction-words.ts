/**
 * Words of Dockerfile instructions: quotes, backslashes and variables, as a Dockerfile's ENV, LABEL, EXPOSE, … read them
 * (Dockerfile reference, "Environment replacement").
 */
import { TsdError } from '@tsd/shared/errors';

export type Lookup = (name: string) => string | undefined;

/** Longest text of one instruction, characters. */
const MAX_LENGTH = 1024 * 1024;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;

/**
 * Splits at white space outside of quotes. The pieces keep their quotes and variables.
 * @throws TsdError `bad_parameter` for an unfinished quote.
 */
export function splitWords(text: string): string[] {
  if (text.length > MAX_LENGTH)
    throw new TsdError('bad_parameter', `an instruction is longer than ${MAX_LENGTH} characters`);
  const words: string[] = [];
  let word = '';
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (character === '\\' && quote !== "'") {
      word += character + text.charAt(++i);
    } else if (quote !== '') {
      word += character;
      if (character === quote) quote = '';
    } else if (/\s/.test(character)) {
      if (word !== '') words.push(word);
      word = '';
    } else {
      if (character === '"' || character === "'") quote = character;
      word += character;
    }
  }
  if (quote !== '')
    throw new TsdError('bad_parameter', `unexpected end of statement while looking for matching ${quote}`);
  if (word !== '') words.push(word);
  return words;
}

/**
 * Takes quotes and escapes off and puts values in: `$NAME`, `${NAME}`, `${NAME:-word}`, `${NAME-word}`, `${NAME:+word}`,
 * `${NAME+word}`. An unknown name is empty.
 * @throws TsdError `bad_parameter` for an unfinished quote or `${`.
 */
export function expandWord(text: string, lookup: Lookup): string {
  let out = '';
  let quote = '';
  for (let i = 0; i < text.length; ) {
    const character = text.charAt(i);
    if (quote === "'") {
      if (character === "'") quote = '';
      else out += character;
      i++;
    } else if (character === '\\') {
      const next = text.charAt(i + 1);
      // Within double quotes a backslash escapes only what would be special there.
      out += quote === '"' && !'"$\\'.includes(next) ? character + next : next;
      i += 2;
    } else if (character === '"' || (character === "'" && quote === '')) {
      quote = quote === character ? '' : character;
      i++;
    } else if (character === '$') {
      const { value, end } = expandVariable(text, i, lookup);
      out += value;
      i = end;
    } else {
      out += character;
      i++;
    }
  }
  if (quote !== '')
    throw new TsdError('bad_parameter', `unexpected end of statement while looking for matching ${quote}`);
  return out;
}

function expandVariable(text: string, start: number, lookup: Lookup): { value: string; end: number } {
  const isBraced = text.charAt(start + 1) === '{';
  NAME.lastIndex = start + (isBraced ? 2 : 1);
  const name = NAME.exec(text)?.[0];
  if (name === undefined) {
    if (isBraced) throw new TsdError('bad_parameter', `unsupported modifier or bad name in ${JSON.stringify(text)}`);
    return { value: '$', end: start + 1 };
  }
  const nameEnd = start + (isBraced ? 2 : 1) + name.length;
  const value = lookup(name);
  if (!isBraced) return { value: value ?? '', end: nameEnd };
  const close = closingBrace(text, nameEnd);
  const [, modifier, word = ''] = /^(:?[-+])(.*)$/s.exec(text.slice(nameEnd, close)) ?? [];
  if (modifier === undefined) {
    if (close === nameEnd) return { value: value ?? '', end: close + 1 };
    throw new TsdError('bad_parameter', `unsupported modifier (${text.slice(nameEnd, close)}) in substitution`);
  }
  const isSet = modifier.startsWith(':') ? value !== undefined && value !== '' : value !== undefined;
  const usesWord = modifier.endsWith('+') ? isSet : !isSet;
  const replacement = usesWord ? expandWord(word, lookup) : modifier.endsWith('+') ? '' : (value ?? '');
  return { value: replacement, end: close + 1 };
}

function closingBrace(text: string, from: number): number {
  let depth = 1;
  for (let i = from; i < text.length; i++) {
    const character = text.charAt(i);
    if (character === '\\') i++;
    else if (character === '{') depth++;
    else if (character === '}' && --depth === 0) return i;
  }
  throw new TsdError('bad_parameter', `unexpected end of statement while looking for } in ${JSON.stringify(text)}`);
}
