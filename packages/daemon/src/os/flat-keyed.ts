/**
 * `name value` a line: the kernel's flat keyed files (cgroup-v2.rst, "Format"), such as cpu.stat and memory.stat. Lines that
 * are not of that form are left out.
 */
export function parseFlatKeyed(text: string): Record<string, number> {
  const values: Record<string, number> = {};
  for (const line of text.split('\n')) {
    const blank = line.indexOf(' ');
    if (blank > 0) values[line.slice(0, blank)] = Number(line.slice(blank + 1));
  }
  return values;
}
