import t from 'tap';
import { parseMount } from '../src/mount-flag.ts';
import { parseBind, parseTmpfs } from '../src/mount-spec.ts';

t.test('-v', async (t) => {
  t.strictSame(parseBind('/a:/b'), {
    type: 'bind',
    source: '/a',
    target: '/b',
    mode: '',
    readOnly: false,
    noCopy: false,
  });
  t.strictSame(parseBind('/a/../x/:/b/./c/:ro,Z,rslave'), {
    type: 'bind',
    source: '/x',
    target: '/b/c',
    mode: 'ro,Z,rslave',
    readOnly: true,
    noCopy: false,
    propagation: 'rslave',
    relabel: 'private',
  });
  t.match(parseBind('/a:/b:z'), { relabel: 'shared' });
  t.match(parseBind('name:/b:nocopy'), { type: 'volume', source: 'name', noCopy: true });
  t.strictSame(parseBind('/b'), {
    type: 'volume',
    source: null,
    target: '/b',
    mode: '',
    readOnly: false,
    noCopy: false,
  });
  const refused: [string, RegExp][] = [
    ['', /invalid volume specification: ''/],
    ['/a:/b:ro:x', /invalid volume specification: '\/a:\/b:ro:x'/],
    ['/a:', /invalid volume specification/],
    ['/a:ro', /invalid volume specification/],
    ['/a:b', /invalid mount path: 'b' mount path must be absolute/],
    ['/a:/', /destination can't be '\/'/],
    ['/a:/b:ro,rw', /invalid mode: ro,rw/],
    ['/a:/b:z,Z', /invalid mode: z,Z/],
    ['/a:/b:exec', /invalid mode: exec/],
    ['./a:/b', /"\.\/a" includes invalid characters for a local volume name/],
    ['a/b:/c', /includes invalid characters/],
  ];
  for (const [text, message] of refused) t.throws(() => parseBind(text), { code: 'bad_parameter', message }, text);
});

t.test('--mount', async (t) => {
  t.strictSame(parseMount('type=bind,source=/a,target=/b,readonly'), {
    Type: 'bind',
    Source: '/a',
    Target: '/b',
    ReadOnly: true,
  });
  t.strictSame(parseMount('type=bind,src=/a,dst=/b,ro=false,bind-propagation=rslave'), {
    Type: 'bind',
    Source: '/a',
    Target: '/b',
    ReadOnly: false,
    BindOptions: { Propagation: 'rslave' },
  });
  t.strictSame(parseMount('type=tmpfs,destination=/t,tmpfs-size=64m,tmpfs-mode=1777'), {
    Type: 'tmpfs',
    Target: '/t',
    TmpfsOptions: { SizeBytes: 67_108_864, Mode: 0o1777 },
  });
  t.strictSame(parseMount('"source=with,comma and ""quote""",target=/b'), {
    Type: 'volume',
    Source: 'with,comma and "quote"',
    Target: '/b',
  });
  t.match(parseMount('src=v,dst=/b,volume-label=a=1,volume-label=b,volume-opt=o=x,volume-driver=local,volume-nocopy'), {
    VolumeOptions: { Labels: { a: '1', b: '' }, DriverConfig: { Name: 'local', Options: { o: 'x' } }, NoCopy: true },
  });
  t.match(parseMount('type=bind,src=/a,dst=/b,ro,bind-recursive=readonly'), {
    BindOptions: { ReadOnlyForceRecursive: true },
  });
  const refused: [string, RegExp][] = [
    ['type=bind,source=/a', /target is required/],
    ['type=nope,target=/a', /mount type unknown: "nope"/],
    ['type=bind,target=/a,nope=1', /unknown option 'nope'/],
    ['type=bind,target', /invalid field 'target' must be a key=value pair/],
    ['type=bind,src=/a,target=/b,readonly=maybe', /invalid value for readonly: maybe/],
    ['type=bind,src=/a,target=/b,bind-propagation=x', /invalid propagation/],
    ['type=bind,src=/a,target=/b,tmpfs-size=1m', /cannot mix 'tmpfs-\*' options with mount type 'bind'/],
    ['type=tmpfs,target=/b,tmpfs-mode=9', /invalid value for tmpfs-mode: 9/],
    ['type=tmpfs,target=/b,tmpfs-size=x', /tmpfs-size: invalid size/],
    ['type=bind,src=/a,dst=/b,bind-recursive=readonly', /requires 'readonly'/],
    ['type=bind,"src=/a', /a quote is not closed/],
    ['"type=bind"x', /text after a closing quote/],
  ];
  for (const [text, message] of refused) t.throws(() => parseMount(text), { code: 'bad_parameter', message }, text);
});

t.test('--tmpfs', async (t) => {
  t.strictSame(parseTmpfs('/run'), { target: '/run', options: '' });
  t.strictSame(parseTmpfs('/run/:rw,size=64m'), { target: '/run', options: 'rw,size=64m' });
  t.throws(() => parseTmpfs('run'), { code: 'bad_parameter' });
});
