/** Parses a Go template into a tree. */
import { lexTemplate, type Token } from './lex-template.ts';
import { TemplateError } from './template-error.ts';

export type Operand =
  | { readonly kind: 'dot' }
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'pipe'; readonly pipe: Pipe }
  /** A chain of fields of another operand; `.A.B` is a chain of the dot. */
  | { readonly kind: 'chain'; readonly base: Operand; readonly fields: readonly string[] };

/** Operands side by side: the first is called with the others. */
export interface Command {
  readonly operands: readonly Operand[];
}

export interface Pipe {
  /** `$a, $b :=` or `$a =` in front of the commands. */
  readonly variables: readonly string[];
  readonly declares: boolean;
  readonly commands: readonly Command[];
}

export type TemplateNode =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipe: Pipe }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipe: Pipe;
      readonly body: readonly TemplateNode[];
      readonly otherwise: readonly TemplateNode[];
    }
  | { readonly kind: 'break' | 'continue' };

const CONTROL_WORDS: ReadonlySet<string> = new Set(['if', 'with', 'range']);

/** Parses a template. Throws TemplateError. */
export function parseTemplate(template: string): readonly TemplateNode[] {
  const pieces = lexTemplate(template);
  let position = 0;

  /** Nodes up to the `end` or `else` that closes the block, which is returned too (null at the end of the text). */
  const parseBlock = (): { nodes: TemplateNode[]; closer: readonly Token[] | null } => {
    const nodes: TemplateNode[] = [];
    for (;;) {
      const piece = pieces[position++];
      if (piece === undefined) return { nodes, closer: null };
      if (piece.kind === 'text') {
        nodes.push(piece);
        continue;
      }
      const [first] = piece.tokens;
      if (first === undefined) throw new TemplateError('missing value for command');
      const word = first.kind === 'word' ? first.text : '';
      if (word === 'end' || word === 'else') return { nodes, closer: piece.tokens };
      if (CONTROL_WORDS.has(word)) nodes.push(parseControl(word as 'if', piece.tokens.slice(1)));
      else if (word === 'break' || word === 'continue') nodes.push({ kind: word });
      else if (word === 'define' || word === 'template' || word === 'block') {
        throw new TemplateError(`{{${word}}} is not supported in --format`);
      } else nodes.push({ kind: 'action', pipe: parsePipe(piece.tokens) });
    }
  };

  const parseControl = (kind: 'if' | 'with' | 'range', tokens: readonly Token[]): TemplateNode => {
    const pipe = parsePipe(tokens);
    const { nodes: body, closer } = parseBlock();
    if (closer === null) throw new TemplateError(`unexpected EOF: {{${kind}}} has no {{end}}`);
    const [word, ...rest] = closer;
    if (word?.text === 'end') return { kind, pipe, body, otherwise: [] };
    const [next] = rest;
    if (next?.kind === 'word' && (next.text === 'if' || next.text === 'with')) {
      return { kind, pipe, body, otherwise: [parseControl(next.text, rest.slice(1))] };
    }
    const { nodes: otherwise, closer: last } = parseBlock();
    if (last?.[0]?.text !== 'end') throw new TemplateError(`unexpected EOF: {{${kind}}} has no {{end}}`);
    return { kind, pipe, body, otherwise };
  };

  const { nodes, closer } = parseBlock();
  if (closer !== null) throw new TemplateError(`unexpected {{${closer[0]?.text}}}`);
  return nodes;
}

function parsePipe(tokens: readonly Token[]): Pipe {
  let position = 0;
  const isSymbol = (text: string, offset = 0): boolean => {
    const token = tokens[position + offset];
    return token?.kind === 'symbol' && token.text === text;
  };

  const parseVariables = (): { variables: string[]; declares: boolean } => {
    const variables: string[] = [];
    let offset = 0;
    while (tokens[position + offset]?.kind === 'variable') {
      variables.push(tokens[position + offset]?.text ?? '');
      offset++;
      if (!isSymbol(',', offset)) break;
      offset++;
    }
    if (variables.length === 0 || !(isSymbol(':=', offset) || isSymbol('=', offset))) {
      return { variables: [], declares: false };
    }
    const declares = isSymbol(':=', offset);
    position += offset + 1;
    return { variables, declares };
  };

  const parseCommands = (nested: boolean): Pipe => {
    const { variables, declares } = parseVariables();
    const commands: Command[] = [];
    for (;;) {
      const operands: Operand[] = [];
      while (position < tokens.length && !isSymbol('|') && !isSymbol(')')) operands.push(parseOperand());
      if (operands.length === 0) throw new TemplateError('missing value for command');
      commands.push({ operands });
      if (!isSymbol('|')) break;
      position++;
    }
    if (nested) {
      if (!isSymbol(')')) throw new TemplateError('unclosed left paren');
      position++;
    } else if (position < tokens.length) throw new TemplateError('unexpected right paren');
    return { variables, declares, commands };
  };

  const parseOperand = (): Operand => {
    const token = tokens[position++];
    if (token === undefined) throw new TemplateError('missing value for command');
    let base: Operand;
    const fields: string[] = [];
    switch (token.kind) {
      case 'string':
        return { kind: 'literal', value: token.text };
      case 'number':
        return { kind: 'literal', value: Number(token.text) };
      case 'word':
        if (token.text === 'true' || token.text === 'false') return { kind: 'literal', value: token.text === 'true' };
        if (token.text === 'nil') return { kind: 'literal', value: null };
        return { kind: 'function', name: token.text };
      case 'field':
        base = { kind: 'dot' };
        fields.push(token.text);
        break;
      case 'variable':
        base = { kind: 'variable', name: token.text };
        break;
      case 'symbol':
        if (token.text === '.') return { kind: 'dot' };
        if (token.text !== '(') throw new TemplateError(`unexpected "${token.text}" in operand`);
        base = { kind: 'pipe', pipe: parseCommands(true) };
        break;
    }
    for (let next = tokens[position]; next?.kind === 'field' && next.attached; next = tokens[position]) {
      fields.push(next.text);
      position++;
    }
    return fields.length === 0 ? base : { kind: 'chain', base, fields };
  };

  return parseCommands(false);
}
