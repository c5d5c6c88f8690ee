import { isTerminal } from '../node-bindings.ts';

/** Rows and columns of the terminal behind a descriptor (stdout if missing), null where there is none. */
export function terminalSize(descriptor: 1 | 2 = 1): { readonly rows: number; readonly columns: number } | null {
  if (!isTerminal(descriptor)) return null;
  // Loaded only for a terminal: with node:tty come node:net and the streams.
  const { WriteStream } = process.getBuiltinModule('node:tty');
  const [columns, rows] = new WriteStream(descriptor).getWindowSize();
  return rows > 0 && columns > 0 ? { rows, columns } : null;
}
