/** Text from an archive, in quotes, cut to a readable length and harmless in a terminal or a log. */
const MAX_SHOWN = 120;

export function quoted(text: string): string {
  const short = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
  // JSON escapes the control characters below space; DEL, C1, bidirectional marks and the like remain.
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
