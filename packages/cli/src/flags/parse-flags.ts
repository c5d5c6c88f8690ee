/**
 * Parses a command line as Docker's client does (github.com/spf13/pflag): `--name value`, `--name=value`, `-n value`,
 * `-nvalue`, `-n=value`, grouped letters, `--bool=false`, `--` ends the flags.
 *
 * This is not commander's parser for two reasons: pflag's rules (`--rm=false`, `-itm100M`, its error texts) and time:
 * loading commander costs 5 ms of every command, this takes 0.1. Commander renders the help, where time does not matter.
 */
import { UsageError } from '../cli-error.ts';
import type { FlagSpec, ParsedFlags } from './flag-spec.ts';

const TRUE_WORDS: ReadonlySet<string> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE_WORDS: ReadonlySet<string> = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);
const INT = /^[+-]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]*|[1-9][0-9]*)$/;

export interface ParseOptions {
  /** Whether flags may come behind arguments; `run` and `create` stop at the image. */
  readonly interspersed: boolean;
}

/** Parses `argv` (without the command's own name). Throws UsageError with pflag's texts and exit code 125. */
export function parseFlags(specs: readonly FlagSpec[], argv: readonly string[], options: ParseOptions): ParsedFlags {
  const values = new FlagValues(specs);
  let position = 0;
  while (position < argv.length) {
    const word = argv[position++] ?? '';
    if (word === '--') {
      values.args.push(...argv.slice(position));
      break;
    }
    if (word.startsWith('--')) {
      position += parseLong(values, word, argv[position]);
    } else if (word.startsWith('-') && word !== '-') {
      position += parseShort(values, word.slice(1), argv[position]);
    } else {
      values.args.push(word);
      if (!options.interspersed) {
        values.args.push(...argv.slice(position));
        break;
      }
    }
    if (values.helpWanted) break;
  }
  return values;
}

/** Takes `--name[=value]`; returns how many of the following words it used up. */
function parseLong(values: FlagValues, word: string, next: string | undefined): number {
  const equals = word.indexOf('=');
  const name = equals === -1 ? word.slice(2) : word.slice(2, equals);
  const spec = values.long(name);
  if (spec === undefined) throw new UsageError(`unknown flag: --${name}`, { showUsage: true });
  if (equals !== -1) {
    values.set(spec, word.slice(equals + 1));
    return 0;
  }
  if (spec.type === 'bool') {
    values.set(spec, 'true');
    return 0;
  }
  if (next === undefined) throw new UsageError(`flag needs an argument: --${name}`, { showUsage: true });
  values.set(spec, next);
  return 1;
}

/** Takes a group of letters; returns how many of the following words it used up. */
function parseShort(values: FlagValues, letters: string, next: string | undefined): number {
  for (let index = 0; index < letters.length; index++) {
    const letter = letters[index] ?? '';
    const spec = values.short(letter);
    if (spec === undefined) {
      throw new UsageError(`unknown shorthand flag: '${letter}' in -${letters}`, { showUsage: true });
    }
    const rest = letters.slice(index + 1);
    if (rest.startsWith('=')) {
      values.set(spec, rest.slice(1));
      return 0;
    }
    if (spec.type === 'bool') {
      values.set(spec, 'true');
      continue;
    }
    if (rest !== '') {
      values.set(spec, rest);
      return 0;
    }
    if (next === undefined) {
      throw new UsageError(`flag needs an argument: '${letter}' in -${letters}`, { showUsage: true });
    }
    values.set(spec, next);
    return 1;
  }
  return 0;
}

class FlagValues implements ParsedFlags {
  readonly args: string[] = [];
  helpWanted = false;
  readonly #byName = new Map<string, FlagSpec>();
  readonly #byLetter = new Map<string, FlagSpec>();
  readonly #values = new Map<string, string[]>();

  constructor(specs: readonly FlagSpec[]) {
    for (const spec of specs) {
      this.#byName.set(spec.name, spec);
      for (const alias of spec.aliases ?? []) this.#byName.set(alias, spec);
      if (spec.short !== undefined) this.#byLetter.set(spec.short, spec);
    }
  }

  long(name: string): FlagSpec | undefined {
    return this.#byName.get(name);
  }

  short(letter: string): FlagSpec | undefined {
    return this.#byLetter.get(letter);
  }

  set(spec: FlagSpec, value: string): void {
    if (spec.type === 'bool' && !TRUE_WORDS.has(value) && !FALSE_WORDS.has(value)) {
      throw invalidArgument(spec, value, `strconv.ParseBool: parsing "${value}": invalid syntax`);
    }
    if (spec.type === 'int' && !INT.test(value)) {
      throw invalidArgument(spec, value, `strconv.ParseInt: parsing "${value}": invalid syntax`);
    }
    if (spec.name === 'help') this.helpWanted = TRUE_WORDS.has(value);
    const list = this.#values.get(spec.name);
    if (list !== undefined && spec.type === 'list') list.push(value);
    else this.#values.set(spec.name, [value]);
  }

  has(name: string): boolean {
    return this.#values.has(this.#known(name).name);
  }

  bool(name: string): boolean {
    const value = this.#values.get(this.#known(name).name)?.[0];
    return value === undefined ? (this.#known(name).default ?? false) : TRUE_WORDS.has(value);
  }

  string(name: string): string | undefined {
    return this.#values.get(this.#known(name).name)?.[0];
  }

  int(name: string): number | undefined {
    const text = this.string(name);
    return text === undefined ? undefined : parseInteger(text);
  }

  list(name: string): readonly string[] {
    return this.#values.get(this.#known(name).name) ?? [];
  }

  /** A command that asks for a flag that its table lacks is a mistake in the program. */
  #known(name: string): FlagSpec {
    const spec = this.#byName.get(name);
    if (spec === undefined) throw new TypeError(`no flag --${name} in this command's table`);
    return spec;
  }
}

function parseInteger(text: string): number {
  const negative = text.startsWith('-');
  const digits = text.replace(/^[+-]/, '');
  const octal = /^0[0-7]+$/.test(digits);
  const value = octal ? Number.parseInt(digits, 8) : Number(digits);
  return negative ? -value : value;
}

/** The error of a value that a flag does not take, in pflag's words. */
export function invalidArgument(spec: Pick<FlagSpec, 'name' | 'short'>, value: string, reason: string): UsageError {
  const shown = spec.short === undefined ? `--${spec.name}` : `-${spec.short}, --${spec.name}`;
  return new UsageError(`invalid argument "${value}" for "${shown}" flag: ${reason}`, { showUsage: true });
}
