/** Tables, times, ports, progress, detach keys. */
import t from 'tap';
import { displayWidth, ellipsis } from '../src/output/display-width.ts';
import { portsText } from '../src/output/ports-text.ts';
import { alignRows } from '../src/output/table.ts';
import { goTimeText, rfc3339 } from '../src/output/time-text.ts';
import { transferText, withTransferProgress } from '../src/output/transfer-progress.ts';
import { compactJson } from '../src/request/compact-json.ts';
import { createDetachDetector, parseDetachKeys } from '../src/session/detach-keys.ts';
import { timestampParameter } from '../src/session/timestamp-parameter.ts';
import { captureOutput } from './support/capture-output.ts';

t.test('tables', (t) => {
  t.equal(
    alignRows([
      ['A', 'B'],
      ['longer than ten', 'x'],
    ]),
    'A                 B\nlonger than ten   x\n',
  );
  t.equal(alignRows([['A', 'B']], 20), `A${' '.repeat(19)}B\n`);
  t.equal(displayWidth('日本x'), 5);
  t.equal(
    alignRows([
      ['日本日本', 'B'],
      ['x', 'y'],
    ]),
    '日本日本   B\nx          y\n',
  );
  t.equal(ellipsis('abcdef', 5), 'abcd…');
  t.equal(ellipsis('abcde', 5), 'abcde');
  t.end();
});

t.test('ports', (t) => {
  const tcp = (PrivatePort: number, PublicPort?: number, IP?: string): Parameters<typeof portsText>[0][number] => ({
    PrivatePort,
    Type: 'tcp',
    ...(PublicPort === undefined ? {} : { PublicPort }),
    ...(IP === undefined ? {} : { IP }),
  });
  t.equal(portsText([]), '');
  t.equal(portsText([tcp(82), tcp(80), tcp(81), tcp(90)]), '80-82/tcp, 90/tcp');
  t.equal(portsText([tcp(80, 8080, '0.0.0.0'), tcp(80, 8080, '::')]), '0.0.0.0:8080->80/tcp, [::]:8080->80/tcp');
  t.equal(portsText([tcp(80, 80, '0.0.0.0'), tcp(81, 81, '0.0.0.0')]), '0.0.0.0:80-81->80-81/tcp');
  t.equal(portsText([tcp(80, 90, '0.0.0.0'), tcp(81, 91, '0.0.0.0')]), '0.0.0.0:90->80/tcp, 0.0.0.0:91->81/tcp');
  t.equal(portsText([tcp(53), { PrivatePort: 53, Type: 'udp' }]), '53/tcp, 53/udp');
  t.end();
});

t.test('times', (t) => {
  const zone = process.env['TZ'];
  process.env['TZ'] = 'UTC';
  t.equal(goTimeText(1_700_000_000), '2023-11-14 22:13:20 +0000 UTC');
  t.equal(rfc3339(1_700_000_000), '2023-11-14T22:13:20Z');
  process.env['TZ'] = 'America/New_York';
  t.equal(goTimeText(1_700_000_000), '2023-11-14 17:13:20 -0500 EST');
  t.equal(rfc3339(1_700_000_000), '2023-11-14T17:13:20-05:00');
  if (zone === undefined) delete process.env['TZ'];
  else process.env['TZ'] = zone;
  t.end();
});

t.test('--since and --until', (t) => {
  const nowMs = 1_700_000_000_500;
  const at = (text: string): string => timestampParameter(text, nowMs, 'since');
  t.equal(at('42m'), '1699997480.500000000');
  t.equal(at('0'), '0');
  t.equal(at('1136073845.000000001'), '1136073845.000000001');
  t.equal(at('2013-01-02T13:23:37Z'), '1357133017.000000000');
  t.equal(at('2013-01-02T13:23:37.123456789Z'), '1357133017.123456789');
  t.equal(at('2013-01-02T13:23:37+02:00'), '1357125817.000000000');
  t.equal(at('2013-01-02T13:23'), `${Date.parse('2013-01-02T13:23') / 1000}.000000000`);
  t.equal(at('2013-01-02'), `${Date.parse('2013-01-02T00:00:00') / 1000}.000000000`);
  for (const text of ['yesterday', '2013-13-45', '5x']) t.throws(() => at(text), /invalid value for "since"/);
  t.end();
});

t.test('progress', async (t) => {
  t.equal(
    transferText('Loading', 45_000_000, 180_000_000, true),
    `Loading [${'='.repeat(7)}>${' '.repeat(22)}] 45MB/180MB`,
  );
  t.equal(transferText('Loading', 180, 180, true), `Loading [${'='.repeat(30)}] 180B/180B`);
  t.equal(transferText('Loading', 45_000_000, 180_000_000, false), 'Loading: 25% (45MB of 180MB)');
  t.equal(transferText('Saving', 45_000_000, null, true), 'Saving: 45MB');

  for (const [isTerminal, expected] of [
    [
      true,
      '\r\x1b[KLoading [==========>                   ] 1MB/3MB\r\x1b[KLoading [====================>         ] 2MB/3MB\r\x1b[KLoading [==============================] 3MB/3MB\r\x1b[K',
    ],
    [false, 'Loading: 33% (1MB of 3MB)\nLoading: 66% (2MB of 3MB)\nLoading: 100% (3MB of 3MB)\n'],
  ] as const) {
    const output = captureOutput(isTerminal);
    let clockMs = 0;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < 3; index++) {
        clockMs += 6000;
        yield new Uint8Array(1_000_000);
      }
    }
    const input = { stream: chunks(), sizeBytes: 3_000_000 };
    const progress = withTransferProgress(input, { title: 'Loading', output, quiet: false, nowMs: () => clockMs });
    let passed = 0;
    for await (const chunk of progress.stream) passed += chunk.length;
    progress.done();
    progress.done();
    t.equal(passed, 3_000_000);
    t.equal(output.text(), expected);
  }
});

t.test('detach keys', (t) => {
  t.strictSame([...parseDetachKeys('ctrl-p,ctrl-q')], [16, 17]);
  t.strictSame([...parseDetachKeys('a,ctrl-@,ctrl-[')], [97, 0, 27]);
  t.throws(() => parseDetachKeys('ctrl-1'), /unknown character: 'ctrl-1'/);
  const push = (...inputs: string[]): { text: string; detached: boolean } => {
    const detector = createDetachDetector(parseDetachKeys('ctrl-p,ctrl-q'));
    let text = '';
    for (const input of inputs) {
      const { pass, detached } = detector.push(Buffer.from(input));
      text += Buffer.from(pass).toString();
      if (detached) return { text, detached };
    }
    return { text, detached: false };
  };
  t.strictSame(push('abc\x10\x11def'), { text: 'abc', detached: true });
  t.strictSame(push('abc\x10', '\x11'), { text: 'abc', detached: true });
  t.strictSame(push('\x10', 'x'), { text: '\x10x', detached: false });
  t.strictSame(push('\x10\x10', '\x11'), { text: '\x10', detached: true });
  t.end();
});

t.test('compact JSON keeps its tokens', (t) => {
  t.equal(
    compactJson('{ "a" : [ 1e400, 18446744073709551615 ],\n "b c": " x \\" y " }'),
    '{"a":[1e400,18446744073709551615],"b c":" x \\" y "}',
  );
  t.throws(() => compactJson('{'), SyntaxError);
  t.end();
});
