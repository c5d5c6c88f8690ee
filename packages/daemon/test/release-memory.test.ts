import { readFileSync } from 'node:fs';
import t from 'tap';
import { collectYoungGarbage, releaseFreeMemory } from '../src/os/release-memory.ts';
import { unmapExecutablePages } from '../src/os/unmap-executable.ts';

function residentKb(kind: 'RssAnon' | 'RssFile'): number {
  return Number(new RegExp(`^${kind}:\\s+(\\d+)`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}

t.test('pages of executables go, and come back on use', async (t) => {
  const before = residentKb('RssFile');
  unmapExecutablePages();
  const after = residentKb('RssFile');
  t.ok(after < before / 2, `${before} kB before, ${after} kB after`);
  t.equal(JSON.stringify(structuredClone({ a: [new Date(0)] })), '{"a":["1970-01-01T00:00:00.000Z"]}');
  await import('node:http2');
  t.ok(residentKb('RssFile') > after, 'code that is used is there again');
});

t.test('garbage goes', async (t) => {
  let kept: WeakRef<object> = new WeakRef({});
  const litter = (): void => {
    for (let i = 0; i < 1000; i++) kept = new WeakRef(Buffer.alloc(64));
  };
  litter();
  // What a WeakRef was asked for in this turn stays until the next.
  await new Promise((resolve) => setImmediate(resolve));
  collectYoungGarbage();
  t.equal(kept.deref(), undefined, 'young');
  const ballast = Array.from({ length: 40 }, (_, i) => new Array<number>(100_000).fill(i));
  t.equal(ballast.length, 40);
  ballast.length = 0;
  const before = residentKb('RssAnon');
  releaseFreeMemory();
  t.ok(residentKb('RssAnon') < before - 20_000, 'all, and to the kernel');
});
