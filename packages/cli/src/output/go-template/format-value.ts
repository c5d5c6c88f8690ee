/** How Go's fmt prints a value with %v, for values that came as JSON. */

/** The text of a value: `[a b]` for lists, `map[k:v]` with sorted keys for objects, `<nil>` for null. */
export function formatValue(value: unknown): string {
  if (value === undefined) return '<no value>';
  if (value === null) return '<nil>';
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return formatNumber(value);
  if (typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `[${value.map(formatValue).join(' ')}]`;
  const pairs = Object.entries(value)
    .filter(([, item]) => typeof item !== 'function')
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, item]) => `${key}:${formatValue(item)}`);
  return `map[${pairs.join(' ')}]`;
}

/** Go's fmt.Sprintf for the verbs that make sense here: v s d q t f g x X c and %%, with flags, width and precision. */
export function sprintf(format: string, args: readonly unknown[]): string {
  let next = 0;
  const text = format.replace(
    /%([-+# 0]*)([0-9]+)?(?:\.([0-9]+))?([a-zA-Z%])/g,
    (whole: string, flags: string, width: string | undefined, precision: string | undefined, verb: string) => {
      if (verb === '%') return '%';
      if (next >= args.length) return `%!${verb}(MISSING)`;
      return pad(formatVerb(verb, args[next++], flags, precision, whole), flags, Number(width ?? 0));
    },
  );
  if (next >= args.length) return text;
  const extra = args.slice(next).map((value) => `${goType(value)}=${formatValue(value)}`);
  return `${text}%!(EXTRA ${extra.join(', ')})`;
}

function formatVerb(verb: string, value: unknown, flags: string, precision: string | undefined, whole: string): string {
  switch (verb) {
    case 'v':
    case 's': {
      const text = formatValue(value);
      return precision === undefined ? text : [...text].slice(0, Number(precision)).join('');
    }
    case 'q':
      return JSON.stringify(formatValue(value));
    case 't':
      return String(value);
    case 'd':
      if (typeof value !== 'number') return `%!d(${goType(value)}=${formatValue(value)})`;
      return flags.includes('+') && value >= 0 ? `+${Math.trunc(value)}` : String(Math.trunc(value));
    case 'f':
      return typeof value === 'number' ? value.toFixed(Number(precision ?? 6)) : `%!f(${formatValue(value)})`;
    case 'g':
      return formatValue(value);
    case 'x':
    case 'X': {
      const text = typeof value === 'number' ? value.toString(16) : Buffer.from(formatValue(value)).toString('hex');
      return verb === 'X' ? text.toUpperCase() : text;
    }
    case 'c':
      return typeof value === 'number' ? String.fromCodePoint(value) : whole;
    default:
      return `%!${verb}(${goType(value)}=${formatValue(value)})`;
  }
}

function pad(text: string, flags: string, width: number): string {
  if (flags.includes('-')) return text.padEnd(width);
  return flags.includes('0') ? text.padStart(width, '0') : text.padStart(width);
}

function formatNumber(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) < 1e21) return String(value);
  return value.toExponential();
}

function goType(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'number':
      return Number.isInteger(value) ? 'int' : 'float64';
    case 'boolean':
      return 'bool';
    default:
      return value === null || value === undefined ? '<nil>' : 'map[string]interface {}';
  }
}
