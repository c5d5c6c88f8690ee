/** --format of the listing commands: `table`, `table TEMPLATE`, `json`, `TEMPLATE` (docs.docker.com/go/formatting). */
import { alignRows } from './table.ts';

/** A column: its title, and what a row shows. A column of `withArgument` is called in templates (`.Label "name"`). */
export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
}

export interface ListFormat<Row> {
  /** By the field's name in templates, in the order in which `json` shows them. */
  readonly columns: Readonly<Record<string, Column<Row>>>;
  /** Fields of the plain table. */
  readonly table: readonly string[];
  /** Fields that take an argument in templates; they are not part of `json`. */
  readonly methods?: Readonly<Record<string, (row: Row, argument: string) => string>>;
}

/** Renders the rows. `format` is the --format value; undefined is the plain table. Throws TemplateError. */
export async function formatList<Row>(
  list: ListFormat<Row>,
  rows: readonly Row[],
  format: string | undefined,
): Promise<string> {
  if (format === undefined || format === '' || format === 'table') {
    const columns = list.table.map((name) => columnOf(list, name));
    const lines = rows.map((row) => columns.map((column) => column.value(row)));
    return alignRows([columns.map((column) => column.title), ...lines]);
  }
  if (format === 'json') {
    return rows.map((row) => `${JSON.stringify(plainRow(list, row))}\n`).join('');
  }
  return formatWithTemplate(list, rows, format);
}

async function formatWithTemplate<Row>(list: ListFormat<Row>, rows: readonly Row[], format: string): Promise<string> {
  const { compileTemplate } = await import('./go-template/execute-template.ts');
  const isTable = /^table\b/.test(format);
  const source = (isTable ? format.slice('table'.length).trimStart() : format)
    .replaceAll('\\t', '\t')
    .replaceAll('\\n', '\n');
  const template = compileTemplate(source);
  const lines = rows.map((row) => template(templateRow(list, row)));
  if (!isTable) return lines.map((line) => `${line}\n`).join('');
  const { HEADER_FUNCTIONS } = await import('./go-template/template-functions.ts');
  const header = compileTemplate(source, { functions: HEADER_FUNCTIONS })(headerRow(list));
  return alignRows([header, ...lines].flatMap((line) => line.split('\n')).map((line) => line.split('\t')));
}

/** All fields of a row by their names, as `json` shows them. */
export function plainRow<Row>(list: ListFormat<Row>, row: Row): Record<string, string> {
  const names = Object.keys(list.columns).sort();
  return Object.fromEntries(names.map((name) => [name, columnOf(list, name).value(row)]));
}

/** The row as templates see it: every field is computed only where it is asked for. */
function templateRow<Row>(list: ListFormat<Row>, row: Row): object {
  const view = {};
  // In order of their names, as `{{json .}}` shows them.
  for (const name of Object.keys(list.columns).sort()) {
    Object.defineProperty(view, name, { enumerable: true, get: () => columnOf(list, name).value(row) });
  }
  for (const [name, method] of Object.entries(list.methods ?? {})) {
    Object.defineProperty(view, name, { value: (argument: unknown) => method(row, String(argument)) });
  }
  return view;
}

function headerRow<Row>(list: ListFormat<Row>): object {
  const titles = Object.entries(list.columns).map(([name, column]) => [name, column.title] as const);
  const methods = Object.keys(list.methods ?? {}).map((name) => [name, methodTitle] as const);
  return Object.fromEntries([...titles, ...methods]);
}

/** Docker's title of a label's column: the part behind the last dot, in words. */
function methodTitle(argument: unknown): string {
  return String(argument).split('.').at(-1)?.replace(/[-_]/g, ' ') ?? '';
}

function columnOf<Row>(list: ListFormat<Row>, name: string): Column<Row> {
  const column = list.columns[name];
  if (column === undefined) throw new TypeError(`no column ${name}`);
  return column;
}
