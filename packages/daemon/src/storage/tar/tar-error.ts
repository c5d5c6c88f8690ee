import { TsdError } from '@tsd/shared/errors';

const MAX_SHOWN_NAME = 120;

/** The error for an archive that is damaged, hostile or beyond a limit. The message says what is wrong and where. */
export function tarError(reason: string): TsdError {
  return new TsdError('bad_parameter', `invalid tar archive: ${reason}`);
}

/** A name from an archive, quoted and harmless in a terminal, a log or JSON: bytes outside printable ASCII are escaped. */
export function shownName(name: string): string {
  const short = name.length > MAX_SHOWN_NAME ? `${name.slice(0, MAX_SHOWN_NAME)}…` : name;
  const escaped = short.replace(/[\\"]|[^ -~…]/g, (character) =>
    character === '\\' || character === '"'
      ? `\\${character}`
      : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `"${escaped}"`;
}
