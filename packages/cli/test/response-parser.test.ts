import t from 'tap';
import { type RequestKind, type ResponseHead, ResponseParser } from '../src/api/response-parser.ts';

interface Parsed {
  head: ResponseHead | undefined;
  body: string;
  end: boolean | undefined;
  upgraded: string | undefined;
}

/** Parses the text in pieces of `size` bytes. */
function parse(text: string, size: number, kind: Partial<RequestKind> = {}, close = false): Parsed {
  const parsed: Parsed = { head: undefined, body: '', end: undefined, upgraded: undefined };
  const parser = new ResponseParser(
    { head: false, upgrade: false, ...kind },
    {
      head: (head) => {
        parsed.head = head;
      },
      data: (chunk) => {
        parsed.body += chunk.toString('latin1');
      },
      end: (reusable) => {
        parsed.end = reusable;
      },
      upgraded: (rest) => {
        parsed.upgraded = rest.toString('latin1');
      },
    },
  );
  const bytes = Buffer.from(text, 'latin1');
  for (let start = 0; start < bytes.length; start += size) parser.push(bytes.subarray(start, start + size));
  if (close) parser.close();
  return parsed;
}

const SIZES = [1, 2, 3, 7, 10_000];

for (const size of SIZES) {
  t.test(`in pieces of ${size} bytes`, (t) => {
    const length = parse('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello', size);
    t.match(length, { body: 'hello', end: true });
    t.equal(length.head?.status, 200);
    t.equal(length.head?.headers.get('x-a'), '1, 2');

    const chunked =
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1a;x=y\r\n0123456789abcdefghij\r\nklmn\r\n0\r\nT: 1\r\n\r\n';
    t.match(parse(chunked, size), { body: 'abc0123456789abcdefghij\r\nklmn', end: true });

    t.match(parse('HTTP/1.1 204 No Content\r\n\r\n', size), { body: '', end: true });
    t.match(parse('HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n', size), { body: '', end: true });
    t.match(parse('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', size, { head: true }), { body: '', end: true });
    t.match(parse('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', size), { body: '', end: true });
    t.match(parse('HTTP/1.0 200 OK\r\n\r\nto the end', size, {}, true), { body: 'to the end', end: false });
    t.match(parse('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx', size), { end: false });
    t.match(parse('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx', size), { body: 'x' });
    t.end();
  });
}

t.test('an upgraded connection hands over what came behind the head', (t) => {
  const text = 'HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nraw\r\n\r\nbytes';
  t.match(parse(text, 10_000, { upgrade: true }), { upgraded: 'raw\r\n\r\nbytes', body: '' });
  t.equal(parse('HTTP/1.1 200 OK\r\n\r\nraw', 10_000, { upgrade: true }).upgraded, 'raw');
  t.equal(parse('HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}', 10_000, { upgrade: true }).body, '{}');
  t.end();
});

t.test('what is not HTTP is refused', (t) => {
  t.throws(() => parse('SSH-2.0-OpenSSH\r\n\r\n', 100), /does not speak HTTP/);
  t.throws(() => parse('HTTP/1.1 200 OK\r\nnonsense\r\n\r\n', 100), /invalid header/);
  t.throws(() => parse('HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n', 100), /invalid Content-Length/);
  t.throws(() => parse('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 100), /invalid chunk size/);
  t.throws(
    () => parse('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n', 100),
    /chunk of the response has the wrong length/,
  );
  t.throws(() => parse('HTTP/1.1 204 No Content\r\n\r\nx', 100), /unexpected bytes/);
  t.throws(() => parse(`HTTP/1.1 200 OK\r\n${'x'.repeat(300_000)}`, 1000), /head is too long/);
  t.end();
});

t.test('a connection that ends early is an error', (t) => {
  for (const text of [
    '',
    'HTTP/1.1 200',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
  ]) {
    t.throws(() => parse(text, 100, {}, true), /closed in the middle/);
  }
  t.end();
});
