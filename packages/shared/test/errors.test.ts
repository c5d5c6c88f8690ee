/** docs/errors.md and the catalogue in the code say the same. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { ERROR_STATUS, type ErrorCode, TsdError } from '../src/errors.ts';

t.test('docs/errors.md lists every code with its status', async (t) => {
  const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `([a-z_]+)` \| ([0-9]{3}) \|/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ]);
  t.strictSame(Object.fromEntries(rows), { ...ERROR_STATUS });
  t.equal(rows.length, Object.keys(ERROR_STATUS).length, 'no code is there twice');
});

t.test('an error knows its status', async (t) => {
  for (const [code, status] of Object.entries(ERROR_STATUS)) {
    const error = new TsdError(code as ErrorCode, 'text');
    t.equal(error.status, status);
    t.ok(error instanceof Error);
  }
});
