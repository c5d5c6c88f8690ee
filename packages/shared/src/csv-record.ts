/** CSV as Go's encoding/csv reads it: the syntax of `--mount`. */
import { TsdError } from './errors.ts';

/** The fields of one record. A field may be quoted; `""` is a quote inside. Throws bad_parameter. */
export function parseCsvRecord(text: string): string[] {
  const fields: string[] = [];
  let position = 0;
  for (;;) {
    if (text[position] === '"') {
      let field = '';
      position++;
      for (;;) {
        const quote = text.indexOf('"', position);
        if (quote === -1) throw new TsdError('bad_parameter', `'${text}': a quote is not closed`);
        field += text.slice(position, quote);
        position = quote + 1;
        if (text[position] !== '"') break;
        field += '"';
        position++;
      }
      fields.push(field);
    } else {
      const comma = text.indexOf(',', position);
      const end = comma === -1 ? text.length : comma;
      fields.push(text.slice(position, end));
      position = end;
    }
    if (position >= text.length) return fields;
    if (text[position] !== ',') throw new TsdError('bad_parameter', `'${text}': text after a closing quote`);
    position++;
  }
}
