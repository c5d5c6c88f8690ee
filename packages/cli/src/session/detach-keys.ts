/** The key sequence that leaves a container without stopping it (moby/term EscapeProxy). */
import { CliError } from '../cli-error.ts';

export const DEFAULT_DETACH_KEYS = 'ctrl-p,ctrl-q';

/**
 * Parses `ctrl-p,ctrl-q`, `a,b`, `ctrl-@`: comma-separated single characters or ctrl- with one of a–z @ [ \ ] ^ _.
 * Throws CliError.
 */
export function parseDetachKeys(text: string): Uint8Array {
  const keys = text.split(',').map((key) => {
    if ([...key].length === 1) return key.codePointAt(0) ?? 0;
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key.toLowerCase())?.[1];
    if (control === undefined) throw new CliError(`invalid detach keys (${text}): unknown character: '${key}'`);
    return control === '@' ? 0 : control.toUpperCase().charCodeAt(0) - 64;
  });
  return Uint8Array.from(keys);
}

export interface DetachDetector {
  /** The input to pass on; `detached` once the sequence is complete. Keys of a begun sequence are held back. */
  push(input: Uint8Array): { readonly pass: Uint8Array; readonly detached: boolean };
}

export function createDetachDetector(keys: Uint8Array): DetachDetector {
  let matched = 0;
  return {
    push(input) {
      const pass: number[] = [];
      for (const byte of input) {
        if (byte === keys[matched]) {
          matched++;
          if (matched === keys.length && matched > 0) return { pass: Uint8Array.from(pass), detached: true };
          continue;
        }
        if (matched > 0) pass.push(...keys.subarray(0, matched));
        matched = 0;
        if (byte === keys[0]) matched = 1;
        else pass.push(byte);
      }
      return { pass: Uint8Array.from(pass), detached: false };
    },
  };
}
