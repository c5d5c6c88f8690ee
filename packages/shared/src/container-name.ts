/** Names of containers, as Docker allows them (daemon/names). */
import { TsdError } from './errors.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const RULE = '[a-zA-Z0-9][a-zA-Z0-9_.-]';

/** Whether the text can be the name of a container or volume. */
export function isContainerName(text: string): boolean {
  return NAME.test(text);
}

/** The name without the slash that Docker's API puts before it. Throws bad_parameter with Docker's text. */
export function parseContainerName(text: string): string {
  const name = text.startsWith('/') ? text.slice(1) : text;
  if (isContainerName(name)) return name;
  throw new TsdError('bad_parameter', `Invalid container name (${text}), only ${RULE} are allowed`);
}
