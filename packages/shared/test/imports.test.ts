/** The client must not load TypeBox: only the api-*.ts files may import it, and no parser may import one of those. */
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';

const directory = new URL('../src/', import.meta.url);
for (const file of readdirSync(directory)) {
  if (file.startsWith('api-')) continue;
  const text = readFileSync(new URL(file, directory), 'utf8');
  t.notMatch(text, /from ['"](typebox|\.\/api-)/, file);
}
