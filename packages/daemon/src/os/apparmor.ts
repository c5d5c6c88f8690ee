import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';

/** Whether the kernel runs with AppArmor on, apparmor(7). */
export async function appArmorEnabled(): Promise<boolean> {
  try {
    return (await readFile('/sys/module/apparmor/parameters/enabled', 'utf8')).startsWith('Y');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Loads a profile into the kernel, replacing one of the same name, without touching the parser's cache on disk
 * (apparmor_parser(8), -K -r).
 *
 * @throws Error when apparmor_parser is missing or refuses the text; the message holds what it said.
 */
export async function loadAppArmorProfile(text: string): Promise<void> {
  const parser = spawn('apparmor_parser', ['-K', '-r'], { stdio: ['pipe', 'ignore', 'pipe'] });
  let complaint = '';
  parser.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    complaint += chunk;
  });
  const closed = once(parser, 'close') as Promise<[code: number | null]>;
  // A parser that dies early breaks the pipe; its exit code and words, not EPIPE, are the error to report.
  parser.stdin.on('error', () => undefined);
  parser.stdin.end(text);
  const [code] = await closed;
  if (code !== 0) throw new Error(`apparmor_parser ended with ${code}: ${complaint.trim()}`);
}
