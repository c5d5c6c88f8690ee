/**
 * The daemon's table is a frame that never changes (table-frame.ts) and parts: what one network or one container adds to it.
 * Parts are values; here they become nft's commands. Pure.
 */

/** An element of a set, or of a map: `172.18.0.1 . tcp . 80 : 10.0.0.2 . 80`. */
export interface TableElement {
  readonly set: string;
  readonly element: string;
}

export interface TablePart {
  /** Sets of the part's own, by name, with what stands between the braces. */
  readonly sets: ReadonlyMap<string, string>;
  /** Chains of the part's own, by name, with their rules. They may name sets of the frame, and chains that come earlier. */
  readonly chains: ReadonlyMap<string, readonly string[]>;
  readonly elements: readonly TableElement[];
}

export const EMPTY_PART: TablePart = { sets: new Map(), chains: new Map(), elements: [] };

/** Commands that put parts into a table where nothing of them is. */
export function addParts(table: string, parts: readonly TablePart[]): string {
  return parts.length === 0 ? '' : lines(...parts.map((part) => changePart(table, EMPTY_PART, part)));
}

/** Commands that turn one part into another; '' where they say the same. Sets and chains of the same content stay as they are. */
export function changePart(table: string, before: TablePart, after: TablePart): string {
  const goneSets = [...before.sets].filter(([name, body]) => after.sets.get(name) !== body);
  const newSets = [...after.sets].filter(([name, body]) => before.sets.get(name) !== body);
  const rules = (chain: readonly string[] | undefined) => chain?.join('\n');
  const goneChains = [...before.chains].filter(([name, chain]) => rules(after.chains.get(name)) !== rules(chain));
  const newChains = [...after.chains].filter(([name, chain]) => rules(before.chains.get(name)) !== rules(chain));
  // Whatever leads into a chain has to go before it, even where it comes again.
  const isTied = ({ element }: TableElement) => goneChains.some(([name]) => element.endsWith(`goto ${name}`));
  const goneElements = without(before.elements, after.elements, isTied);
  const newElements = without(after.elements, before.elements, isTied);
  return lines(
    ...elementCommands('delete', table, goneElements),
    ...goneChains.map(([name]) => `flush chain inet ${table} ${name}`),
    ...goneChains.map(([name]) => `delete chain inet ${table} ${name}`),
    ...goneSets.map(([name]) => `delete set inet ${table} ${name}`),
    ...newSets.map(([name, body]) => `add set inet ${table} ${name} { ${body} }`),
    ...newChains.map(([name]) => `add chain inet ${table} ${name}`),
    ...newChains.flatMap(([name, chain]) => chain.map((rule) => `add rule inet ${table} ${name} ${rule}`)),
    ...elementCommands('add', table, newElements),
  );
}

/** One command for all the elements of a set. */
export function elementCommands(verb: 'add' | 'delete', table: string, elements: readonly TableElement[]): string[] {
  const bySet = Map.groupBy(elements, ({ set }) => set);
  return [...bySet].map(
    ([set, members]) => `${verb} element inet ${table} ${set} { ${members.map(({ element }) => element).join(', ')} }`,
  );
}

function without(
  elements: readonly TableElement[],
  others: readonly TableElement[],
  isTied: (element: TableElement) => boolean,
): TableElement[] {
  const known = new Set(others.map(({ set, element }) => `${set} ${element}`));
  return elements.filter((one) => isTied(one) || !known.has(`${one.set} ${one.element}`));
}

function lines(...commands: readonly string[]): string {
  return commands.filter((command) => command !== '').join('\n');
}
