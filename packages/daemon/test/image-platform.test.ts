import t from 'tap';
import {
  formatPlatform,
  HOST_PLATFORM,
  normalizePlatform,
  parsePlatform,
  platformMatches,
} from '../src/images/platform.ts';

t.test('parse and format', async (t) => {
  for (const [text, expected] of [
    ['linux/amd64', 'linux/amd64'],
    ['linux/arm/v7', 'linux/arm/v7'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['Linux/AARCH64', 'linux/arm64'],
    ['linux/x86_64', 'linux/amd64'],
    ['arm64', 'linux/arm64'],
    ['linux', formatPlatform(HOST_PLATFORM)],
    ['windows/amd64', 'windows/amd64'],
  ] as const) {
    t.equal(formatPlatform(parsePlatform(text)), expected, text);
  }
  for (const text of ['', '/', 'linux/', 'a/b/c/d', 'linux/am d64']) {
    t.throws(() => parsePlatform(text), { code: 'bad_parameter', message: /invalid platform/ }, text);
  }
});

t.test('a variant matters only to those who ask for one', async (t) => {
  const v7 = { os: 'linux', architecture: 'arm', variant: 'v7' };
  t.ok(platformMatches({ os: 'linux', architecture: 'arm' }, v7));
  t.notOk(platformMatches({ ...v7, variant: 'v6' }, v7));
  t.ok(platformMatches({ os: 'linux', architecture: 'arm64', variant: 'v8' }, { os: 'linux', architecture: 'arm64' }));
  t.notOk(platformMatches(HOST_PLATFORM, { ...HOST_PLATFORM, os: 'windows' }));
  t.same(normalizePlatform({ os: 'linux', architecture: 'amd64', variant: '' }), {
    os: 'linux',
    architecture: 'amd64',
  });
});
