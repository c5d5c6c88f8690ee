import t from 'tap';
import { applyConfigChanges } from '../src/images/config-changes.ts';
import { expandWord, splitWords } from '../src/images/instruction-words.ts';

t.test('every instruction', async (t) => {
  const cases: [string[], object][] = [
    [['CMD ["sh", "-c", "echo hi"]'], { Cmd: ['sh', '-c', 'echo hi'] }],
    [['cmd echo "hi there" $HOME'], { Cmd: ['/bin/sh', '-c', 'echo "hi there" $HOME'] }],
    [['CMD [not json]'], { Cmd: ['/bin/sh', '-c', '[not json]'] }],
    [['ENTRYPOINT ["/init"]', 'CMD ["run"]'], { Entrypoint: ['/init'], Cmd: ['run'] }],
    [['CMD ["run"]', 'ENTRYPOINT /init now'], { Entrypoint: ['/bin/sh', '-c', '/init now'], Cmd: ['run'] }],
    [['ENV A=1 B="two words" C=3\\ 4', 'ENV A=$B!'], { Env: ['A=two words!', 'B=two words', 'C=3 4'] }],
    [['ENV NAME the rest  of it'], { Env: ['NAME=the rest  of it'] }],
    [['ENV P=/bin', 'ENV P=$P:/sbin'], { Env: ['P=/bin:/sbin'] }],
    [['EXPOSE 80 53/udp 8000-8001'], { ExposedPorts: { '80/tcp': {}, '53/udp': {}, '8000/tcp': {}, '8001/tcp': {} } }],
    [['LABEL a=1 "b c"="d e"', "LABEL f='$x'"], { Labels: { a: '1', 'b c': 'd e', f: '$x' } }],
    [['USER 1000:1000'], { User: '1000:1000' }],
    [['VOLUME /a /b', 'VOLUME ["/c d"]'], { Volumes: { '/a': {}, '/b': {}, '/c d': {} } }],
    [['WORKDIR /srv', 'WORKDIR app/../web/'], { WorkingDir: '/srv/web' }],
    [['STOPSIGNAL SIGQUIT'], { StopSignal: 'SIGQUIT' }],
    [['ONBUILD RUN make', 'ONBUILD COPY . .'], { OnBuild: ['RUN make', 'COPY . .'] }],
    [['HEALTHCHECK NONE'], { Healthcheck: { Test: ['NONE'] } }],
    [
      ['HEALTHCHECK --interval=30s --timeout=1m30s --retries=3 --start-period=500ms CMD curl -f localhost'],
      {
        Healthcheck: {
          Test: ['CMD-SHELL', 'curl -f localhost'],
          Interval: 30e9,
          Timeout: 90e9,
          Retries: 3,
          StartPeriod: 500e6,
        },
      },
    ],
    [['HEALTHCHECK CMD ["true"]'], { Healthcheck: { Test: ['CMD', 'true'] } }],
    [['# nothing', 'ENV A=1 \\\n  B=2\nUSER x'], { Env: ['A=1', 'B=2'], User: 'x' }],
  ];
  for (const [changes, expected] of cases) t.same(applyConfigChanges({}, changes), expected, changes.join(' ; '));
  t.same(applyConfigChanges({ Cmd: ['old'], User: 'me' }, ['ENTRYPOINT ["new"]']), { Entrypoint: ['new'], User: 'me' });
});

t.test('what is refused', async (t) => {
  for (const [change, message] of [
    ['RUN true', 'RUN is not a valid change command'],
    ['nonsense', 'NONSENSE is not a valid change command'],
    ['CMD', 'CMD requires at least one argument'],
    ['ENV A', 'ENV: expected name=value'],
    ['ENV A=1 B', "ENV: syntax error - can't find ="],
    ['ENV =x', 'ENV: names can not be blank'],
    ['ENV A="open', 'ENV: unexpected end of statement while looking for matching "'],
    ['EXPOSE 99999', 'EXPOSE: '],
    ['EXPOSE 80/carrier-pigeon', 'EXPOSE: invalid proto'],
    ['STOPSIGNAL SIGNOTHING', 'STOPSIGNAL: invalid signal'],
    ['ONBUILD ONBUILD RUN x', "ONBUILD: chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
    ['ONBUILD FROM x', "ONBUILD: FROM isn't allowed as an ONBUILD trigger"],
    ['HEALTHCHECK', 'HEALTHCHECK requires at least one argument'],
    ['HEALTHCHECK --interval=soon CMD x', 'HEALTHCHECK: --interval: invalid duration'],
    ['HEALTHCHECK --interval=1us CMD x', 'HEALTHCHECK: --interval=1us cannot be less than 1ms'],
    ['HEALTHCHECK --retries=-1 CMD x', 'HEALTHCHECK: --retries must be a number'],
    ['HEALTHCHECK --colour=red CMD x', 'HEALTHCHECK: unknown flag: --colour'],
    ['HEALTHCHECK TEST x', 'HEALTHCHECK: unknown type "TEST"'],
    ['VOLUME [""]', 'VOLUME: specified volume can not be an empty string'],
    ['USER a\0b', 'USER: the argument holds a NUL character'],
    ['USER $' + '{A:?x}', 'USER: unsupported modifier'],
  ] as const) {
    t.throws(
      () => applyConfigChanges({}, [change]),
      { code: 'bad_parameter', message: new RegExp(`^${literal(message)}`) },
      change,
    );
  }
});

function literal(text: string): string {
  return text.replace(/[.*+?^$()[\]{}|\\]/g, '\\$&');
}

t.test('words', async (t) => {
  t.same(splitWords(`a "b c" 'd e'f g\\ h  `), ['a', '"b c"', "'d e'f", 'g\\ h']);
  const lookup = (name: string): string | undefined => ({ A: 'x', EMPTY: '' })[name];
  for (const [text, expected] of [
    ['$A', 'x'],
    ['$' + '{A}b', 'xb'],
    ['$Ab', ''],
    ['\\$A', '$A'],
    ["'$A'", '$A'],
    ['"$A \\" \\n"', 'x " \\n'],
    ['$' + '{NONE:-d}', 'd'],
    ['$' + '{EMPTY:-d}$' + '{EMPTY-d}', 'd'],
    ['$' + '{A:+yes}$' + '{NONE:+no}', 'yes'],
    ['$' + '{NONE:-$' + '{A}}', 'x'],
    ['a$', 'a$'],
    ['$1', '$1'],
  ] as const) {
    t.equal(expandWord(text, lookup), expected, text);
  }
});
