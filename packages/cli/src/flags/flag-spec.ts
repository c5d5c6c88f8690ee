/** A command's flags as data: the parser, the help text and the tests all read the same table. */

export interface FlagSpec {
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** `bool` takes no value (but `--flag=false` is understood), `list` may be repeated. */
  readonly type: 'bool' | 'string' | 'int' | 'list';
  /** What the help shows for the value; the type's name if missing. */
  readonly placeholder?: string;
  readonly help: string;
  /** Other spellings, not shown in the help (Docker's --net, --dns-opt). */
  readonly aliases?: readonly string[];
  /** Heading in the help; flags without one come first. */
  readonly group?: string;
  /** Value of a bool without the flag; false if missing. */
  readonly default?: boolean;
}

/** What one command line gave. */
export interface ParsedFlags {
  readonly args: readonly string[];
  /** Whether the flag was given at all. */
  has(name: string): boolean;
  bool(name: string): boolean;
  /** undefined where it was not given. */
  string(name: string): string | undefined;
  int(name: string): number | undefined;
  list(name: string): readonly string[];
}
