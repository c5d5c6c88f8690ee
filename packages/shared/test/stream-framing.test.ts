import t from 'tap';
import {
  createFrameDecoder,
  encodeFrame,
  encodeFrameHeader,
  STREAM_STDERR,
  STREAM_STDOUT,
} from '../src/stream-framing.ts';

t.test('encodes as Docker does', async (t) => {
  t.strictSame([...encodeFrame(STREAM_STDERR, Buffer.from('hey'))], [2, 0, 0, 0, 0, 0, 0, 3, 104, 101, 121]);
  t.strictSame([...encodeFrameHeader(STREAM_STDOUT, 0x01020304)], [1, 0, 0, 0, 1, 2, 3, 4]);
});

t.test('decodes whatever the pieces are', async (t) => {
  const frames = [
    encodeFrame(1, Buffer.from('one')),
    encodeFrame(2, Buffer.from('two')),
    encodeFrame(1, Buffer.alloc(0)),
    encodeFrame(1, Buffer.alloc(100, 'x')),
  ];
  const bytes = Buffer.concat(frames);
  for (let size = 1; size <= bytes.length; size++) {
    const decoder = createFrameDecoder();
    const streams = ['', '', '', ''];
    for (let start = 0; start < bytes.length; start += size) {
      decoder.push(bytes.subarray(start, start + size), (stream, payload) => {
        streams[stream] += Buffer.from(payload).toString();
      });
    }
    decoder.end();
    if (streams[1] !== `one${'x'.repeat(100)}` || streams[2] !== 'two') t.fail(`pieces of ${size}`);
  }
  t.pass('all sizes');
});

t.test('refuses what is not a stream', async (t) => {
  t.throws(() => createFrameDecoder().push(Buffer.from('plain text'), () => undefined), {
    message: 'unrecognized stream: 112',
  });
  const decoder = createFrameDecoder();
  decoder.push(encodeFrame(1, Buffer.from('cut')).subarray(0, 9), () => undefined);
  t.throws(() => decoder.end(), { message: /middle of a frame/ });
});
