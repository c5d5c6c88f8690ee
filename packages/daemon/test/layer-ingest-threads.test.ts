import t from 'tap';
import type { IngestRequest, StoredLayer } from '../src/storage/layer-ingest.ts';
import { createLayerIngestThreads, type IngestThread } from '../src/storage/layer-ingest-threads.ts';

/** No source is read: the threads are scripted. */
const NOTHING = ReadableStream.from<Uint8Array>([]);

/** Threads that are done with a layer when the test says so. */
function scripted() {
  const layers: PromiseWithResolvers<void>[] = [];
  const events: string[] = [];
  const waiting = new Map<string, () => void>();
  const happened = (event: string): void => {
    events.push(event);
    waiting.get(event)?.();
  };
  let count = 0;
  const createThread = (): IngestThread => {
    count += 1;
    const name = `thread ${count}`;
    let load = 0;
    return {
      get load() {
        return load;
      },
      broken: false,
      async ingest() {
        load += 1;
        const layer = Promise.withResolvers<void>();
        layers.push(layer);
        await layer.promise;
        load -= 1;
        return {} as StoredLayer;
      },
      async close() {
        happened(`${name} closed`);
      },
    };
  };
  const threads = createLayerIngestThreads({ createThread, idleMs: 1, releaseMemory: () => happened('released') });
  return {
    events,
    ingest: () => threads.ingest([], NOTHING, {} as IngestRequest),
    finish: (layer: number) => layers[layer]?.resolve(),
    until: (event: string) =>
      events.includes(event) ? Promise.resolve() : new Promise<void>((resolve) => waiting.set(event, resolve)),
    /** What the last timer has begun is over. */
    settled: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

t.test('idle threads end, and memory is collected only when no layer is on its way', async (t) => {
  // The timer of idle threads does not keep a process.
  const deadline = setTimeout(() => undefined, 10_000);
  t.teardown(() => clearTimeout(deadline));
  const { events, ingest, finish, until, settled } = scripted();
  const [first, second] = [ingest(), ingest()];
  finish(0);
  await first;
  await until('thread 1 closed');
  await settled();
  t.same(events, ['thread 1 closed'], 'the event loop is not held up while the second layer is on its way');
  finish(1);
  await second;
  await until('released');
  t.same(events, ['thread 1 closed', 'thread 2 closed', 'released']);
});
