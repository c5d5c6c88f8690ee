/** A fair choice of a few among many. */

/** At most `max` of the items, one of each key in turn, in their order. The few of one key are not lost in the many of another. */
export function takeInTurn<Item>(items: readonly Item[], keyOf: (item: Item) => string, max: number): Item[] {
  if (items.length <= max) return [...items];
  const groups = [...Map.groupBy(items, keyOf).values()];
  const taken: Item[] = [];
  for (let round = 0; taken.length < max; round += 1) {
    for (const group of groups) {
      const item = group[round];
      if (item !== undefined && taken.length < max) taken.push(item);
    }
  }
  return taken;
}
