/** Splits a Go template (pkg.go.dev/text/template) into text and the tokens of its actions. */
import { TemplateError } from './template-error.ts';

export interface Token {
  readonly kind: 'string' | 'number' | 'word' | 'variable' | 'field' | 'symbol';
  readonly text: string;
  /** No space in front of it: `.A.B` is one operand, `.A .B` are two. */
  readonly attached: boolean;
}

export type Piece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly tokens: readonly Token[] };

/** One token of an action: string, raw string, character, number, `$x`, `.Field`, word, or one of ( ) | := = , . */
const TOKEN =
  /\s*(?:("(?:[^"\\\n]|\\.)*")|(`[^`]*`)|('(?:[^'\\\n]|\\.)+')|([+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?))|(\$\w*)|(\.[\p{L}_][\p{L}\p{N}_]*)|([\p{L}_][\p{L}\p{N}_]*)|(:=|[().|,=]))/uy;

/** Splits the template. Throws TemplateError. */
export function lexTemplate(template: string): Piece[] {
  const pieces: Piece[] = [];
  let position = 0;
  let trimNext = false;
  while (position < template.length) {
    const open = template.indexOf('{{', position);
    let text = open === -1 ? template.slice(position) : template.slice(position, open);
    if (trimNext) text = text.trimStart();
    trimNext = false;
    if (open === -1) {
      addText(pieces, text);
      break;
    }
    let start = open + 2;
    if (/^-\s/.test(template.slice(start, start + 2))) {
      text = text.trimEnd();
      start += 1;
    }
    addText(pieces, text);
    const comment = /^\s*\/\*[\s\S]*?\*\/\s*(-?)\}\}/.exec(template.slice(start));
    if (comment !== null) {
      trimNext = comment[1] === '-';
      position = start + comment[0].length;
      continue;
    }
    const { tokens, end, trim } = lexAction(template, start);
    pieces.push({ kind: 'action', tokens });
    trimNext = trim;
    position = end;
  }
  return pieces;
}

function addText(pieces: Piece[], text: string): void {
  if (text !== '') pieces.push({ kind: 'text', text });
}

function lexAction(template: string, start: number): { tokens: Token[]; end: number; trim: boolean } {
  const tokens: Token[] = [];
  let position = start;
  for (;;) {
    const close = /^\s*(\s-)?\}\}/.exec(template.slice(position));
    if (close !== null) return { tokens, end: position + close[0].length, trim: close[1] !== undefined };
    TOKEN.lastIndex = position;
    const match = TOKEN.exec(template);
    if (match === null) {
      const rest = template.slice(position).trimStart();
      if (rest === '') throw new TemplateError('unclosed action');
      throw new TemplateError(`unexpected ${JSON.stringify(rest[0])} in action`);
    }
    position = TOKEN.lastIndex;
    tokens.push({ ...tokenOf(match), attached: !/^\s/.test(match[0]) });
  }
}

function tokenOf(match: RegExpExecArray): Omit<Token, 'attached'> {
  const [, quoted, raw, character, number, variable, field, word, symbol] = match;
  if (quoted !== undefined) return { kind: 'string', text: unquote(quoted) };
  if (raw !== undefined) return { kind: 'string', text: raw.slice(1, -1) };
  if (character !== undefined) return { kind: 'number', text: String(unquote(character).codePointAt(0) ?? 0) };
  if (number !== undefined) return { kind: 'number', text: number };
  if (variable !== undefined) return { kind: 'variable', text: variable };
  if (field !== undefined) return { kind: 'field', text: field.slice(1) };
  if (word !== undefined) return { kind: 'word', text: word };
  return { kind: 'symbol', text: symbol ?? '' };
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
};

/** The value of a Go string or character literal. */
function unquote(literal: string): string {
  return literal
    .slice(1, -1)
    .replace(/\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\s\S]))/g, (_, x, u, long, other) => {
      const code: string | undefined = x ?? u ?? long;
      if (code !== undefined) return String.fromCodePoint(Number.parseInt(code, 16));
      return ESCAPES[other as string] ?? (other as string);
    });
}
