import t from 'tap';
import { createLogTracker } from '../src/session/log-tracker.ts';

const time = (second: number): string => `2026-01-01T00:00:0${second}.000000000Z`;

/** Feeds a text in pieces of `size` and gives back what is shown. */
function feed(tracker: ReturnType<typeof createLogTracker>, stream: number, text: string, size: number): string {
  const bytes = Buffer.from(text);
  let shown = '';
  for (let start = 0; start < bytes.length; start += size) {
    shown += Buffer.from(tracker.push(stream, bytes.subarray(start, start + size))).toString();
  }
  return shown;
}

for (const size of [1, 3, 1000]) {
  t.test(`in pieces of ${size}`, (t) => {
    const tracker = createLogTracker(false);
    t.equal(tracker.resume(), null);
    t.equal(feed(tracker, 1, `${time(1)} one\n${time(2)} \n${time(2)} three`, size), 'one\n\nthree');
    t.equal(tracker.resume(), time(2));
    t.equal(
      feed(tracker, 1, `${time(2)} \n${time(2)} three and more\n${time(2)} four\n${time(3)} five\n`, size),
      ' and more\nfour\nfive\n',
      'what was shown is left out, the rest of a cut line is not',
    );
    t.equal(tracker.resume(), time(3));
    t.equal(feed(tracker, 1, `${time(3)} five\n`, size), '', 'nothing new');
    t.equal(tracker.resume(), time(3));
    t.equal(feed(tracker, 1, `${time(3)} five\n${time(3)} six\n`, size), 'six\n');
    t.end();
  });

  t.test(`two streams in pieces of ${size}`, (t) => {
    const tracker = createLogTracker(false);
    t.equal(feed(tracker, 1, `${time(1)} a\n`, size), 'a\n');
    t.equal(feed(tracker, 2, `${time(1)} b\n`, size), 'b\n');
    t.equal(tracker.resume(), time(1));
    t.equal(feed(tracker, 2, `${time(1)} b\n${time(1)} c\n`, size), 'c\n');
    t.equal(feed(tracker, 1, `${time(1)} a\n${time(2)} d\n`, size), 'd\n');
    t.equal(tracker.resume(), time(2));
    t.equal(feed(tracker, 2, `${time(2)} e\n`, size), 'e\n', 'the other stream had no line at that time');
    t.equal(feed(tracker, 1, `${time(2)} d\n`, size), '');
    t.end();
  });

  t.test(`with times in pieces of ${size}`, (t) => {
    const tracker = createLogTracker(true);
    t.equal(feed(tracker, 1, `${time(1)} one\n`, size), `${time(1)} one\n`);
    tracker.resume();
    t.equal(feed(tracker, 1, `${time(1)} one\n${time(2)} two\n`, size), `${time(2)} two\n`);
    t.end();
  });

  t.test(`a second loss while the first is being made up for, in pieces of ${size}`, (t) => {
    const tracker = createLogTracker(false);
    feed(tracker, 1, `${time(1)} a\n${time(1)} b\n${time(1)} c`, size);
    tracker.resume();
    t.equal(feed(tracker, 1, `${time(1)} a\n${time(1)} b\n${time(1)} cd`, size), 'd');
    tracker.resume();
    t.equal(feed(tracker, 1, `${time(1)} a\n${time(1)} b\n${time(1)} cde\n`, size), 'e\n');
    t.end();
  });
}
