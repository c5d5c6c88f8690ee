/**
 * Regular expressions that clients send, matched in time linear in the text whatever the expression: V8's engine backtracks,
 * so `(a|a)*#` would stop the daemon for good. A nondeterministic automaton whose states are followed all at once
 * (Thompson; Cox, "Regular Expression Matching Can Be Simple And Fast"), as in Go's RE2, which Docker uses.
 */
import {
  type Assertion,
  type Expression,
  ExpressionError,
  parseExpression,
  type Range,
  WORD,
} from './parse-expression.ts';

/** States and ranges of characters, repetitions written out. */
export const MAX_EXPRESSION_SIZE = 1000;
/** Characters. */
const MAX_SOURCE_LENGTH = 4096;

export interface RegularExpression {
  /** Whether the expression matches anywhere in the text. */
  readonly matches: (text: string) => boolean;
  /** Steps that one character of a text may take at most. */
  readonly size: number;
}

/** @throws ExpressionError for what is none, and for what is too large */
export function regularExpression(source: string): RegularExpression {
  if (source.length > MAX_SOURCE_LENGTH) throw new ExpressionError('expression too large', { tooLarge: true });
  const { states, size } = compile(parseExpression(source));
  return { matches: (text) => run(states, text), size };
}

/** `set` and `assertion` go on with the state behind them. */
type State =
  | { readonly kind: 'set'; readonly ranges: readonly Range[] }
  | { readonly kind: 'assertion'; readonly assertion: Assertion }
  | { readonly kind: 'fork'; readonly to: readonly number[] }
  | { readonly kind: 'match' };

/** A fork whose ways are known later. */
interface OpenFork {
  readonly at: number;
  readonly set: (...to: number[]) => void;
}

function compile(root: Expression): { states: readonly State[]; size: number } {
  const states: State[] = [];
  let size = 0;
  const grow = (by: number): void => {
    size += by;
    if (size > MAX_EXPRESSION_SIZE) throw new ExpressionError('expression too large', { tooLarge: true });
  };
  const add = (state: State): number => {
    grow(state.kind === 'set' ? state.ranges.length : 1);
    return states.push(state) - 1;
  };
  const addFork = (): OpenFork => {
    const at = add({ kind: 'fork', to: [] });
    return { at, set: (...to) => (states[at] = { kind: 'fork', to }) };
  };

  function emit(node: Expression): void {
    // Also for what has no states of its own, so that repetitions of nothing end.
    grow(1);
    if (node.kind === 'set' || node.kind === 'assertion') add(node);
    else if (node.kind === 'repeat') emitRepetition(node);
    else if (node.kind === 'alternatives') emitAlternatives(node.nodes);
    else for (const child of node.nodes) emit(child);
  }

  function emitRepetition({ node, least, most }: Extract<Expression, { kind: 'repeat' }>): void {
    for (let count = 0; count < least; count += 1) emit(node);
    if (most === Number.POSITIVE_INFINITY) {
      const loop = addFork();
      emit(node);
      add({ kind: 'fork', to: [loop.at] });
      loop.set(loop.at + 1, states.length);
      return;
    }
    const forks: OpenFork[] = [];
    for (let count = least; count < most; count += 1) {
      forks.push(addFork());
      emit(node);
    }
    for (const fork of forks) fork.set(fork.at + 1, states.length);
  }

  function emitAlternatives(nodes: readonly Expression[]): void {
    if (nodes.length === 1) {
      for (const node of nodes) emit(node);
      return;
    }
    const ways: number[] = [];
    const ends: OpenFork[] = [];
    const fork = addFork();
    for (const node of nodes) {
      ways.push(states.length);
      emit(node);
      ends.push(addFork());
    }
    fork.set(...ways);
    for (const end of ends) end.set(states.length);
  }

  emit(root);
  add({ kind: 'match' });
  return { states, size };
}

function run(states: readonly State[], text: string): boolean {
  // Which states have been entered at the current character, and those that wait for it.
  const enteredAt = new Int32Array(states.length).fill(-1);
  let waiting: number[] = [];
  let position = 0;
  let previous = -1;
  /** Follows a state to those that take a character. True where the expression has matched. */
  const enter = (start: number, following: number, into: number[]): boolean => {
    const open = [start];
    for (let index = open.pop(); index !== undefined; index = open.pop()) {
      const state = states[index];
      if (state === undefined || enteredAt[index] === position) continue;
      enteredAt[index] = position;
      if (state.kind === 'match') return true;
      if (state.kind === 'set') into.push(index);
      else if (state.kind === 'fork') open.push(...state.to);
      else if (holds(state.assertion, previous, following)) open.push(index + 1);
    }
    return false;
  };
  const codes = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  if (enter(0, codes[0] ?? -1, waiting)) return true;
  for (const code of codes) {
    const reached = waiting.filter((index) => {
      const state = states[index];
      return state?.kind === 'set' && state.ranges.some(([first, last]) => first <= code && code <= last);
    });
    waiting = [];
    position += 1;
    previous = code;
    const following = codes[position] ?? -1;
    for (const index of reached) if (enter(index + 1, following, waiting)) return true;
    // A match may begin anywhere.
    if (enter(0, following, waiting)) return true;
  }
  return false;
}

/** @param previous,following the characters on both sides; -1 at the ends */
function holds(assertion: Assertion, previous: number, following: number): boolean {
  if (assertion === 'begin') return previous === -1;
  if (assertion === 'end') return following === -1;
  return (isWord(previous) !== isWord(following)) === (assertion === 'boundary');
}

function isWord(code: number): boolean {
  return WORD.some(([first, last]) => first <= code && code <= last);
}
