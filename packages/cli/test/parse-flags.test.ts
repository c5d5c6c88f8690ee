import t from 'tap';
import type { FlagSpec } from '../src/flags/flag-spec.ts';
import { parseFlags } from '../src/flags/parse-flags.ts';

const SPECS: readonly FlagSpec[] = [
  { name: 'interactive', short: 'i', type: 'bool', help: '' },
  { name: 'tty', short: 't', type: 'bool', help: '' },
  { name: 'sig-proxy', type: 'bool', default: true, help: '' },
  { name: 'memory', short: 'm', type: 'string', help: '' },
  { name: 'env', short: 'e', type: 'list', help: '' },
  { name: 'pids-limit', type: 'int', help: '' },
  { name: 'network', aliases: ['net'], type: 'list', help: '' },
  { name: 'help', type: 'bool', help: '' },
];

const parse = (argv: string[], interspersed = false): ReturnType<typeof parseFlags> =>
  parseFlags(SPECS, argv, { interspersed });

t.test('every way to write a flag', (t) => {
  t.equal(parse(['--memory', '1g', 'x']).string('memory'), '1g');
  t.equal(parse(['--memory=1g', 'x']).string('memory'), '1g');
  t.equal(parse(['-m', '1g', 'x']).string('memory'), '1g');
  t.equal(parse(['-m1g', 'x']).string('memory'), '1g');
  t.equal(parse(['-m=1g', 'x']).string('memory'), '1g');
  t.equal(parse(['--memory=', 'x']).string('memory'), '');
  t.equal(parse(['--memory', '-1', 'x']).string('memory'), '-1', 'a value may start with a dash');
  const grouped = parse(['-itm1g', '-eA=1', '-e', 'B', 'x']);
  t.ok(grouped.bool('interactive') && grouped.bool('tty'));
  t.equal(grouped.string('memory'), '1g');
  t.strictSame(grouped.list('env'), ['A=1', 'B']);
  t.strictSame(parse(['--net=a', '--network', 'b', 'x']).list('network'), ['a', 'b']);
  t.end();
});

t.test('booleans', (t) => {
  t.equal(parse(['--tty=false', '--sig-proxy=0']).bool('tty'), false);
  t.equal(parse([]).bool('sig-proxy'), true);
  t.equal(parse(['--sig-proxy=false']).bool('sig-proxy'), false);
  t.equal(parse(['-t=F', '-i=T']).bool('interactive'), true);
  t.strictSame(parse(['--tty', 'false']).args, ['false'], 'a boolean takes no following word');
  t.end();
});

t.test('where flags end', (t) => {
  t.strictSame(parse(['-i', 'image', '-t', '--x']).args, ['image', '-t', '--x']);
  t.strictSame(parse(['--', '-i']).args, ['-i']);
  t.strictSame(parse(['-']).args, ['-']);
  const mixed = parse(['a', '-i', 'b', '--', '-t'], true);
  t.strictSame(mixed.args, ['a', 'b', '-t']);
  t.equal(mixed.bool('interactive'), true);
  t.equal(mixed.has('tty'), false);
  t.equal(parse(['--help', '--nonsense']).bool('help'), true, 'help wins over what follows it');
  t.end();
});

t.test('integers', (t) => {
  t.equal(parse(['--pids-limit', '-1']).int('pids-limit'), -1);
  t.equal(parse(['--pids-limit', '0x10']).int('pids-limit'), 16);
  t.equal(parse(['--pids-limit', '010']).int('pids-limit'), 8);
  t.equal(parse([]).int('pids-limit'), undefined);
  t.end();
});

t.test("pflag's errors", (t) => {
  const message = (argv: string[]): string => {
    try {
      parse(argv);
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };
  t.equal(message(['--foo']), 'unknown flag: --foo');
  t.equal(message(['--foo=1']), 'unknown flag: --foo');
  t.equal(message(['-iZ']), "unknown shorthand flag: 'Z' in -iZ");
  t.equal(message(['--memory']), 'flag needs an argument: --memory');
  t.equal(message(['-im']), "flag needs an argument: 'm' in -im");
  t.equal(
    message(['--tty=x']),
    'invalid argument "x" for "-t, --tty" flag: strconv.ParseBool: parsing "x": invalid syntax',
  );
  t.equal(
    message(['--pids-limit', '1.5']),
    'invalid argument "1.5" for "--pids-limit" flag: strconv.ParseInt: parsing "1.5": invalid syntax',
  );
  t.end();
});
