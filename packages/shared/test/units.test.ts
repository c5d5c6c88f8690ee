import t from 'tap';
import {
  formatAgo,
  formatBinaryBytes,
  formatDecimalBytes,
  formatDuration,
  parseBytes,
  parseBytesOrUnlimited,
  parseDurationMs,
} from '../src/units.ts';

t.test('sizes: go-units RAMInBytes', async (t) => {
  const cases: [string, number][] = [
    ['0', 0],
    ['32', 32],
    ['32b', 32],
    ['32B', 32],
    ['32k', 32 * 1024],
    ['32KB', 32 * 1024],
    ['32kib', 32 * 1024],
    ['100M', 104_857_600],
    ['1.5g', 1_610_612_736],
    ['512k', 524_288],
    ['64MiB', 67_108_864],
    ['1t', 1024 ** 4],
    ['2p', 2 * 1024 ** 5],
    ['32.5kB', 33_280],
    ['.5m', 524_288],
    ['1 g', 1024 ** 3],
    ['32.', 32],
  ];
  for (const [text, bytes] of cases) t.equal(parseBytes(text), bytes, text);
  for (const text of [
    '',
    'hello',
    '-32',
    '-1g',
    '1 mm',
    '32mb.',
    '1  g',
    '1e5',
    '0x10',
    '1kx',
    '1bb',
    '1kib2',
    '∞',
    '1,5g',
    '99999p',
  ]) {
    t.throws(() => parseBytes(text, '--memory'), { code: 'bad_parameter', message: /^--memory: / }, text);
  }
  t.equal(parseBytesOrUnlimited('-1'), -1);
  t.equal(parseBytesOrUnlimited('1k'), 1024);
});

t.test('sizes as docker prints them', async (t) => {
  const decimal: [number, string][] = [
    [0, '0B'],
    [999, '999B'],
    [1000, '1kB'],
    [1024, '1.02kB'],
    [7_834_567, '7.83MB'],
    [116_531_200, '117MB'],
    [999_950, '1e+03kB'],
    [1_500_000_000, '1.5GB'],
    [3.42e12, '3.42TB'],
  ];
  for (const [bytes, text] of decimal) t.equal(formatDecimalBytes(bytes), text, String(bytes));
  t.equal(formatDecimalBytes(1_048_576, 4), '1.049MB');
  const binary: [number, string][] = [
    [1023, '1023B'],
    [1024, '1KiB'],
    [104_857_600, '100MiB'],
    [25_278_582_784, '23.54GiB'],
  ];
  for (const [bytes, text] of binary) t.equal(formatBinaryBytes(bytes), text, String(bytes));
});

t.test('durations as docker prints them', async (t) => {
  const second = 1000;
  const minute = 60 * second;
  const hour = 60 * minute;
  const day = 24 * hour;
  const cases: [number, string][] = [
    [450, 'Less than a second'],
    [-5000, 'Less than a second'],
    [second, '1 second'],
    [45 * second, '45 seconds'],
    [minute, 'About a minute'],
    [3 * minute + 40 * second, '3 minutes'],
    [35 * minute, '35 minutes'],
    [hour, 'About an hour'],
    [hour + 45 * minute, '2 hours'],
    [47 * hour, '47 hours'],
    [3 * day, '3 days'],
    [13 * day, '13 days'],
    [14 * day, '2 weeks'],
    [59 * day, '8 weeks'],
    [60 * day, '2 months'],
    [700 * day, '23 months'],
    [731 * day, '2 years'],
  ];
  for (const [durationMs, text] of cases) t.equal(formatDuration(durationMs), text, String(durationMs));
  t.equal(formatAgo(1_000_000, 1_000_000 + 2 * hour), '2 hours ago');
});

t.test('Go durations', async (t) => {
  const cases: [string, number][] = [
    ['0', 0],
    ['10s', 10_000],
    ['1m30s', 90_000],
    ['1h', 3_600_000],
    ['500ms', 500],
    ['1.5h', 5_400_000],
    ['-2s', -2000],
    ['1us', 0.001],
  ];
  for (const [text, ms] of cases) t.equal(parseDurationMs(text), ms, text);
  for (const text of ['', '5', 's', '1d', '1s5', '--1s', '1 s'])
    t.throws(() => parseDurationMs(text), { code: 'bad_parameter' }, text);
});
