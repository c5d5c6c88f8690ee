import { isatty, WriteStream } from 'node:tty';

/** Rows and columns of the terminal behind a descriptor (stdout if missing), null where there is none. */
export function terminalSize(descriptor: 1 | 2 = 1): { readonly rows: number; readonly columns: number } | null {
  if (!isatty(descriptor)) return null;
  const [columns, rows] = new WriteStream(descriptor).getWindowSize();
  return rows > 0 && columns > 0 ? { rows, columns } : null;
}
