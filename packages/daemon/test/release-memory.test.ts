import { readFileSync } from 'node:fs';
import { mock } from 'node:test';
import t from 'tap';
import { collectYoungGarbage, createQuietCollections, releaseFreeMemory } from '../src/os/release-memory.ts';
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

t.test('collections wait until nobody is answered any more', (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.teardown(() => mock.timers.reset());
  const done: string[] = [];
  const collections = createQuietCollections({
    collectYoungGarbage: () => done.push('young'),
    releaseFreeMemory: () => done.push('all'),
    momentMs: 10,
    whileMs: 100,
  });
  mock.timers.tick(1000);
  t.strictSame(done, [], 'nothing happened: there is nothing to collect');
  collections.answered();
  mock.timers.tick(9);
  collections.answered();
  mock.timers.tick(9);
  t.strictSame(done, []);
  mock.timers.tick(1);
  t.strictSame(done, ['young']);

  collections.release();
  mock.timers.tick(60);
  collections.release();
  collections.answered();
  mock.timers.tick(99);
  t.strictSame(done, ['young', 'young'], 'an answer puts it off');
  mock.timers.tick(1);
  t.strictSame(done, ['young', 'young', 'all']);
  mock.timers.tick(1000);
  collections.release();
  mock.timers.tick(100);
  t.strictSame(done, ['young', 'young', 'all', 'all'], 'once for each time that it was asked for');
  t.end();
});
