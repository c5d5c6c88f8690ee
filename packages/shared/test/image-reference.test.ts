import t from 'tap';
import {
  canonicalName,
  familiarName,
  familiarString,
  isDigest,
  isValidTag,
  parseReference,
  repositoryName,
  withDefaultTag,
} from '../src/image-reference.ts';

const HEX = 'a'.repeat(64);
const DIGEST = `sha256:${HEX}`;

t.test('normalises as distribution/reference does', async (t) => {
  const cases: [text: string, domain: string, path: string, tag?: string | undefined, digest?: string][] = [
    ['alpine', 'docker.io', 'library/alpine'],
    ['alpine:3.20', 'docker.io', 'library/alpine', '3.20'],
    ['docker.io/alpine', 'docker.io', 'library/alpine'],
    ['docker.io/library/alpine', 'docker.io', 'library/alpine'],
    ['index.docker.io/alpine', 'docker.io', 'library/alpine'],
    ['user/app', 'docker.io', 'user/app'],
    ['user/app/deep', 'docker.io', 'user/app/deep'],
    ['localhost/app', 'localhost', 'app'],
    ['localhost:5000/app:1', 'localhost:5000', 'app', '1'],
    ['host:5000/a/b', 'host:5000', 'a/b'],
    ['quay.io/a/b', 'quay.io', 'a/b'],
    ['MYHOST/app', 'MYHOST', 'app'],
    ['[::1]:5000/app', '[::1]:5000', 'app'],
    ['127.0.0.1:5000/a_b/c__d/e-f/g--h', '127.0.0.1:5000', 'a_b/c__d/e-f/g--h'],
    [`alpine@${DIGEST}`, 'docker.io', 'library/alpine', undefined, DIGEST],
    [`x.y/alpine:1@${DIGEST}`, 'x.y', 'alpine', '1', DIGEST],
    [`a:${'t'.repeat(128)}`, 'docker.io', 'library/a', 't'.repeat(128)],
    [`x.y/${'p'.repeat(255)}`, 'x.y', 'p'.repeat(255)],
  ];
  for (const [text, domain, path, tag, digest] of cases) {
    t.strictSame(
      parseReference(text),
      { domain, path, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) },
      text,
    );
  }
});

t.test("refuses with Docker's texts", async (t) => {
  const cases: [text: string, message: string | RegExp][] = [
    ['', 'invalid reference format'],
    ['Alpine', 'invalid reference format: repository name (library/Alpine) must be lowercase'],
    ['x.y/User/app', 'invalid reference format: repository name (User/app) must be lowercase'],
    [':tag', 'invalid reference format'],
    ['a:', 'invalid reference format'],
    ['a:b:c', 'invalid reference format'],
    ['a@sha256:12', 'invalid reference format'],
    [`a@sha256:${'a'.repeat(63)}`, /checksum digest length/],
    [`a@sha256:${'A'.repeat(64)}`, /checksum digest format/],
    [`a@md5:${'a'.repeat(64)}`, /unsupported digest algorithm/],
    ['a//b', 'invalid reference format'],
    ['-a', 'invalid reference format'],
    ['a_-b', 'invalid reference format'],
    ['a..b', 'invalid reference format'],
    ['../etc/passwd', 'invalid reference format'],
    ['a b', 'invalid reference format'],
    ['a\nb', 'invalid reference format'],
    ['ä', 'invalid reference format'],
    [`a:${'t'.repeat(129)}`, 'invalid reference format'],
    [`x.y/${'p'.repeat(256)}`, 'repository name must not be more than 255 characters'],
    [HEX, `invalid repository name (${HEX}), cannot specify 64-byte hexadecimal strings`],
  ];
  for (const [text, message] of cases)
    t.throws(() => parseReference(text), { code: 'bad_parameter', message }, JSON.stringify(text));
});

t.test('hostile text is refused quickly', async (t) => {
  const started = performance.now();
  for (const text of [
    'a'.repeat(1_000_000),
    `${'a-'.repeat(2000)}!`,
    `${'a.'.repeat(2000)}/x`,
    `${'a/'.repeat(2000)}A`,
    '_'.repeat(4000),
  ]) {
    t.throws(() => parseReference(text));
  }
  t.ok(performance.now() - started < 500);
});

t.test('names', async (t) => {
  t.equal(familiarName(parseReference('docker.io/library/alpine:1')), 'alpine');
  t.equal(familiarName(parseReference('docker.io/library/a/b')), 'library/a/b');
  t.equal(familiarName(parseReference('user/app')), 'user/app');
  t.equal(familiarName(parseReference('localhost:5000/app')), 'localhost:5000/app');
  t.equal(familiarString(parseReference(`alpine:1@${DIGEST}`)), `alpine:1@${DIGEST}`);
  t.equal(repositoryName(parseReference('alpine:1')), 'docker.io/library/alpine');
  t.equal(canonicalName(parseReference('alpine')), 'docker.io/library/alpine:latest');
  t.equal(canonicalName(parseReference(`alpine@${DIGEST}`)), `docker.io/library/alpine@${DIGEST}`);
  t.equal(withDefaultTag(parseReference('a')).tag, 'latest');
  t.equal(withDefaultTag(parseReference(`a@${DIGEST}`)).tag, undefined);
});

t.test('tags and digests', async (t) => {
  t.ok(isValidTag('v1.0_x-2'));
  for (const tag of ['', '.x', '-x', 'a/b', 't'.repeat(129)]) t.notOk(isValidTag(tag), tag);
  t.ok(isDigest(DIGEST));
  t.ok(isDigest(`sha512:${'0'.repeat(128)}`));
  for (const digest of [HEX, 'sha256:', `sha256:${'A'.repeat(64)}`, `${DIGEST}0`, `md5:${HEX}`])
    t.notOk(isDigest(digest));
});
