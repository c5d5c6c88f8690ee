/**
 * Executes Go templates (`docker ps --format '{{.Names}}'`) on plain values: text, pipelines, if/else, range, with,
 * variables and the functions of template-functions.ts. Not supported: define, template, block and method calls with
 * anything but a value that is a function.
 */
import { formatValue } from './format-value.ts';
import { type Command, type Operand, type Pipe, parseTemplate, type TemplateNode } from './parse-template.ts';
import { TemplateError } from './template-error.ts';
import { isTrue, TEMPLATE_FUNCTIONS, type TemplateFunction } from './template-functions.ts';

export interface TemplateOptions {
  readonly functions?: Readonly<Record<string, TemplateFunction>>;
  /**
   * Whether a field may be missing from the object in the field `parent` (undefined where that is not known): it gives
   * nothing then (`<no value>` where it is printed). Otherwise it is an error; so is every missing field by default.
   */
  readonly mayMiss?: (parent: string | undefined, field: string) => boolean;
}

export type Template = (data: unknown) => string;

/** Compiles a template. Throws TemplateError, here and where it is executed. */
export function compileTemplate(source: string, options: TemplateOptions = {}): Template {
  const functions = options.functions ?? TEMPLATE_FUNCTIONS;
  const nodes = parseChecked(source, functions);
  return (data) => {
    const run = new Execution(functions, options.mayMiss ?? (() => false), data);
    run.nodes(nodes, data);
    return run.output.join('');
  };
}

function parseChecked(source: string, functions: Readonly<Record<string, TemplateFunction>>): readonly TemplateNode[] {
  try {
    const nodes = parseTemplate(source);
    checkFunctions(nodes, functions);
    return nodes;
  } catch (error) {
    throw error instanceof TemplateError ? new TemplateError(error.reason, 'parse') : error;
  }
}

/** A name that is no function is an error before anything is printed, as in Go. */
function checkFunctions(nodes: readonly TemplateNode[], functions: Readonly<Record<string, TemplateFunction>>): void {
  const checkPipe = (pipe: Pipe): void => {
    for (const command of pipe.commands) for (const operand of command.operands) checkOperand(operand);
  };
  const checkOperand = (operand: Operand): void => {
    if (operand.kind === 'pipe') checkPipe(operand.pipe);
    else if (operand.kind === 'chain') checkOperand(operand.base);
    else if (operand.kind === 'function') {
      const known = Object.hasOwn(functions, operand.name) || operand.name === 'and' || operand.name === 'or';
      if (!known) throw new TemplateError(`function "${operand.name}" not defined`);
    }
  };
  for (const node of nodes) {
    if (node.kind === 'action') checkPipe(node.pipe);
    else if ('pipe' in node) {
      checkPipe(node.pipe);
      checkFunctions(node.body, functions);
      checkFunctions(node.otherwise, functions);
    }
  }
}

type Flow = 'next' | 'break' | 'continue';

interface Scope {
  readonly variables: Map<string, unknown>;
  readonly parent: Scope | undefined;
}

class Execution {
  readonly output: string[] = [];
  readonly #functions: Readonly<Record<string, TemplateFunction>>;
  readonly #mayMiss: (parent: string | undefined, field: string) => boolean;
  #scope: Scope;

  constructor(
    functions: Readonly<Record<string, TemplateFunction>>,
    mayMiss: (parent: string | undefined, field: string) => boolean,
    data: unknown,
  ) {
    this.#functions = functions;
    this.#mayMiss = mayMiss;
    this.#scope = { variables: new Map([['$', data]]), parent: undefined };
  }

  nodes(nodes: readonly TemplateNode[], dot: unknown): Flow {
    for (const node of nodes) {
      const flow = this.#node(node, dot);
      if (flow !== 'next') return flow;
    }
    return 'next';
  }

  #node(node: TemplateNode, dot: unknown): Flow {
    switch (node.kind) {
      case 'text':
        this.output.push(node.text);
        return 'next';
      case 'action': {
        const value = this.#pipe(node.pipe, dot);
        if (node.pipe.variables.length === 0) this.output.push(value === null ? '<no value>' : formatValue(value));
        return 'next';
      }
      case 'break':
      case 'continue':
        return node.kind;
      case 'if':
      case 'with':
        return this.#scoped(() => {
          const value = this.#pipe(node.pipe, dot);
          if (!isTrue(value)) return this.nodes(node.otherwise, dot);
          return this.nodes(node.body, node.kind === 'with' ? value : dot);
        });
      case 'range':
        this.#scoped(() => this.#range(node, dot));
        return 'next';
    }
  }

  #range(node: Extract<TemplateNode, { kind: 'range' | 'if' | 'with' }>, dot: unknown): Flow {
    const { variables } = node.pipe;
    const value = this.#pipe({ ...node.pipe, variables: [] }, dot);
    const entries = rangeEntries(value);
    if (entries.length === 0) return this.nodes(node.otherwise, dot);
    for (const [key, item] of entries) {
      const flow = this.#scoped(() => {
        const [first, second] = variables;
        if (first !== undefined) this.#scope.variables.set(first, second === undefined ? item : key);
        if (second !== undefined) this.#scope.variables.set(second, item);
        return this.nodes(node.body, item);
      });
      if (flow === 'break') break;
    }
    return 'next';
  }

  #scoped(body: () => Flow): Flow {
    const parent = this.#scope;
    this.#scope = { variables: new Map(), parent };
    try {
      return body();
    } finally {
      this.#scope = parent;
    }
  }

  #pipe(pipe: Pipe, dot: unknown): unknown {
    let value: unknown;
    for (const [index, command] of pipe.commands.entries()) {
      value = this.#command(command, dot, index === 0 ? [] : [value]);
    }
    const [name] = pipe.variables;
    if (name !== undefined) {
      if (pipe.declares) this.#scope.variables.set(name, value);
      else this.#holder(name).set(name, value);
    }
    return value;
  }

  #command(command: Command, dot: unknown, piped: readonly unknown[]): unknown {
    const [first, ...rest] = command.operands;
    if (first === undefined) throw new TemplateError('missing value for command');
    if (first.kind === 'function') {
      if (first.name === 'and' || first.name === 'or') return this.#lazy(first.name, rest, dot, piped);
      const call = this.#functions[first.name];
      if (call === undefined) throw new TemplateError(`function "${first.name}" not defined`);
      return call(...rest.map((operand) => this.#operand(operand, dot)), ...piped);
    }
    const value = this.#operand(first, dot, [...rest.map((operand) => this.#operand(operand, dot)), ...piped]);
    return value;
  }

  /** `and` gives its first false argument or the last, `or` its first true one or the last. */
  #lazy(name: 'and' | 'or', operands: readonly Operand[], dot: unknown, piped: readonly unknown[]): unknown {
    let value: unknown;
    for (const operand of operands) {
      value = this.#operand(operand, dot);
      if (isTrue(value) === (name === 'or')) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  #operand(operand: Operand, dot: unknown, args: readonly unknown[] = []): unknown {
    switch (operand.kind) {
      case 'dot':
        return notCalled(dot, args);
      case 'literal':
        return notCalled(operand.value, args);
      case 'variable':
        return notCalled(this.#holder(operand.name).get(operand.name), args);
      case 'pipe':
        return notCalled(this.#pipe(operand.pipe, dot), args);
      case 'function':
        return this.#command({ operands: [operand] }, dot, args);
      case 'chain': {
        let value = this.#operand(operand.base, dot);
        for (const [index, field] of operand.fields.entries()) {
          const parent = operand.fields[index - 1];
          value = this.#field(value, field, parent, index === operand.fields.length - 1 ? args : []);
        }
        return value;
      }
    }
  }

  #field(value: unknown, field: string, parent: string | undefined, args: readonly unknown[]): unknown {
    if (typeof value !== 'object' || value === null) {
      if (value === null || value === undefined) {
        throw new TemplateError(`nil pointer evaluating field ${field}: the value in front of it is not there`);
      }
      throw new TemplateError(`can't evaluate field ${field} in ${formatValue(value)}`);
    }
    if (!(field in value) || Array.isArray(value)) {
      if (!Array.isArray(value) && this.#mayMiss(parent, field)) return undefined;
      throw new TemplateError(`can't evaluate field ${field}: there is no such field`);
    }
    const member = (value as Record<string, unknown>)[field];
    if (typeof member === 'function') return (member as TemplateFunction)(...args);
    return notCalled(member, args);
  }

  #holder(name: string): Map<string, unknown> {
    for (let scope: Scope | undefined = this.#scope; scope !== undefined; scope = scope.parent) {
      if (scope.variables.has(name)) return scope.variables;
    }
    throw new TemplateError(`undefined variable "${name}"`);
  }
}

function notCalled(value: unknown, args: readonly unknown[]): unknown {
  if (args.length > 0) throw new TemplateError(`can't give argument to non-function ${formatValue(value)}`);
  return value;
}

function rangeEntries(value: unknown): readonly (readonly [unknown, unknown])[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.map((item, index) => [index, item] as const);
  if (typeof value === 'number') return Array.from({ length: value }, (_, index) => [index, index] as const);
  if (typeof value === 'object') {
    return Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  }
  throw new TemplateError(`range can't iterate over ${formatValue(value)}`);
}
