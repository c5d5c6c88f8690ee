/** Compares texts with numbers in them as people count: `n2` before `n10`; else byte by byte. */
export function naturalOrder(left: string, right: string): number {
  const ours = left.match(PARTS) ?? [];
  const theirs = right.match(PARTS) ?? [];
  for (const [index, part] of ours.entries()) {
    const other = theirs[index];
    if (other === undefined) return 1;
    if (part === other) continue;
    const difference = Number(part) - Number(other);
    if (difference !== 0 && !Number.isNaN(difference)) return difference;
    return part < other ? -1 : 1;
  }
  return ours.length - theirs.length;
}

const PARTS = /[0-9]+|[^0-9]+/g;
