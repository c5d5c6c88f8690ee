/** The PORTS column (docker/cli formatter DisplayablePorts): neighbouring ports are shown as ranges. */

export interface PortSummary {
  readonly IP?: string;
  readonly PrivatePort: number;
  readonly PublicPort?: number;
  readonly Type: string;
}

interface Range {
  readonly host: string;
  readonly type: string;
  readonly privateStart: number;
  privateEnd: number;
  readonly publicStart: number;
  publicEnd: number;
}

export function portsText(ports: readonly PortSummary[]): string {
  const sorted = [...ports].sort(
    (left, right) =>
      left.PrivatePort - right.PrivatePort ||
      compareText(left.IP ?? '', right.IP ?? '') ||
      (left.PublicPort ?? 0) - (right.PublicPort ?? 0) ||
      compareText(left.Type, right.Type),
  );
  const ranges: Range[] = [];
  for (const port of sorted) {
    const host = port.IP ?? '';
    const published = port.PublicPort ?? 0;
    // A range grows while both sides go up by one; a port published under another number stands alone.
    const range = ranges.find(
      (candidate) =>
        candidate.host === host &&
        candidate.type === port.Type &&
        candidate.privateEnd + 1 === port.PrivatePort &&
        (published === 0
          ? candidate.publicStart === 0
          : candidate.publicStart !== 0 &&
            candidate.publicEnd + 1 === published &&
            candidate.publicStart === candidate.privateStart &&
            published === port.PrivatePort),
    );
    if (range !== undefined) {
      range.privateEnd = port.PrivatePort;
      range.publicEnd = published;
      continue;
    }
    ranges.push({
      host,
      type: port.Type,
      privateStart: port.PrivatePort,
      privateEnd: port.PrivatePort,
      publicStart: published,
      publicEnd: published,
    });
  }
  return ranges.map(rangeText).join(', ');
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function rangeText(range: Range): string {
  const inside = `${span(range.privateStart, range.privateEnd)}/${range.type}`;
  if (range.publicStart === 0) return inside;
  const host = range.host.includes(':') ? `[${range.host}]` : range.host;
  return `${host}:${span(range.publicStart, range.publicEnd)}->${inside}`;
}

function span(start: number, end: number): string {
  return start === end ? String(start) : `${start}-${end}`;
}
