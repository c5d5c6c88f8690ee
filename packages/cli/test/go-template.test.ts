import t from 'tap';
import { compileTemplate } from '../src/output/go-template/execute-template.ts';
import { sprintf } from '../src/output/go-template/format-value.ts';

const data = {
  Name: '/web',
  Count: 3,
  Big: 104857600,
  Yes: true,
  No: false,
  Nothing: null,
  List: ['a', 'b'],
  State: { Status: 'running', Pid: 42 },
  Labels: { 'com.example': 'x', b: 'y' },
  Ports: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }], '90/tcp': null },
  Label: (name: unknown) => `<${String(name)}>`,
};

const render = (source: string): string =>
  compileTemplate(source, { mayMiss: (_parent, field) => field === 'Missing' })(data);

const cases: readonly (readonly [template: string, expected: string])[] = [
  ['plain', 'plain'],
  ['{{.Name}}', '/web'],
  ['{{ .State.Status }}:{{.State.Pid}}', 'running:42'],
  ['{{.Count}} {{.Big}} {{.Yes}}', '3 104857600 true'],
  ['{{.List}} {{.Labels}}', '[a b] map[b:y com.example:x]'],
  ['{{.Nothing}} {{.Missing}}', '<no value> <no value>'],
  ['{{json .State}}', '{"Status":"running","Pid":42}'],
  ['{{json .}}', JSON.stringify(data)],
  ['{{.Name | json}}', '"/web"'],
  ['{{upper .State.Status}} {{title "ab cd"}} {{"X" | lower}}', 'RUNNING Ab Cd x'],
  ['{{if .Yes}}y{{else}}n{{end}}{{if .No}}y{{else}}n{{end}}', 'yn'],
  ['{{if .No}}1{{else if .Nothing}}2{{else if .Count}}3{{else}}4{{end}}', '3'],
  ['{{if and .Yes .Count}}both{{end}} {{or .No "other"}} {{not .Yes}}', 'both other false'],
  ['{{if or .Yes .Nothing.Field}}lazy{{end}}', 'lazy'],
  ['{{range .List}}<{{.}}>{{end}}', '<a><b>'],
  ['{{range $i, $e := .List}}{{$i}}={{$e}};{{end}}', '0=a;1=b;'],
  ['{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}', 'b=y com.example=x '],
  ['{{range .Nothing}}x{{else}}none{{end}}', 'none'],
  ['{{range .List}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', 'a'],
  ['{{range .List}}{{if eq . "a"}}{{continue}}{{end}}{{.}}{{end}}', 'b'],
  ['{{with .State}}{{.Pid}} {{$.Name}}{{end}}', '42 /web'],
  ['{{with .Nothing}}x{{else}}y{{end}}', 'y'],
  ['{{$x := .Count}}{{$x}}{{$x = 4}}{{$x}}', '34'],
  ['{{index .Labels "com.example"}}|{{index .Labels "none"}}|{{index .List 1}}', 'x||b'],
  ['{{(index (index .Ports "80/tcp") 0).HostPort}}', '8080'],
  ['{{range $p, $c := .Ports}}{{$p}}->{{range $c}}{{.HostPort}}{{end}} {{end}}', '80/tcp->8080 90/tcp-> '],
  ['{{len .List}} {{len .Name}} {{len .Labels}}', '2 4 2'],
  ['{{join .List ","}} {{split "a-b" "-"}}', 'a,b [a b]'],
  ['{{printf "%-5s|%03d|%.2f|%q|%v|%%" "ab" 7 1.5 "x" .List}}', 'ab   |007|1.50|"x"|[a b]|%'],
  ['{{println "a" 1}}', 'a 1\n'],
  ['{{eq .Count 1 3}} {{ne .Count 3}} {{lt 1 2}} {{ge 2 2}} {{gt "b" "a"}}', 'true false true true true'],
  ['{{slice .Name 1}} {{slice .Name 0 2}} {{truncate "abcdef" 3}} {{pad "x" 1 2}}|', 'web /w abc  x  |'],
  ['a  {{- " b " -}}  c', 'a b c'],
  ['{{/* nothing */}}x', 'x'],
  ['{{.Label "a.b"}} {{"c" | .Label}}', '<a.b> <c>'],
  ['{{`raw\\n`}} {{"\\t|\\u00e9|\\""}}', 'raw\\n \t|é|"'],
  ["{{'a'}} {{-1}} {{1.5}} {{nil | json}}", '97 -1 1.5 null'],
  ['{{true}}{{false}}', 'truefalse'],
];
for (const [template, expected] of cases) {
  t.test(template, (t) => {
    t.equal(render(template), expected);
    t.end();
  });
}

const errors: readonly (readonly [template: string, message: RegExp])[] = [
  ['{{.Name', /unclosed action/],
  ['{{if .Yes}}x', /unexpected EOF/],
  ['{{end}}', /unexpected {{end}}/],
  ['{{nosuch .}}', /function "nosuch" not defined/],
  ['{{.Name.First}}', /can't evaluate field First/],
  ['{{.Nothing.X}}', /nil pointer evaluating field X/],
  ['{{$x}}', /undefined variable/],
  ['{{index .List 9}}', /out of range/],
  ['{{(.Name}}', /unclosed left paren/],
  ['{{.Name)}}', /unexpected right paren/],
  ['{{}}', /missing value/],
  ['{{.Name | }}', /missing value/],
  ['{{"x}}', /unexpected/],
  ['{{range .Name}}{{end}}', /can't iterate/],
  ['{{template "x"}}', /not supported/],
  ['{{eq .Count "3"}}', /incompatible types/],
  ['{{lower .Count}}', /not a string/],
  ['{{.Name 1}}', /can't give argument to non-function/],
];
for (const [template, message] of errors) {
  t.test(`error: ${template}`, (t) => {
    t.throws(() => render(template), { message });
    t.end();
  });
}

t.test('exit codes: 64 for what cannot be parsed, 1 for what is not there', (t) => {
  t.throws(() => compileTemplate('{{'), { exitCode: 64, message: /^template parsing error: / });
  t.throws(() => compileTemplate('{{nosuch .}}'), { exitCode: 64, message: /not defined/ });
  t.throws(() => render('{{.Nope}}'), { exitCode: 1, message: /^failed to execute template: / });
  t.end();
});

t.test('a missing field is an error where the fields are known', (t) => {
  t.throws(() => compileTemplate('{{.Nope}}')(data), /can't evaluate field Nope/);
  t.end();
});

t.test('sprintf as Go words its own mistakes', (t) => {
  t.equal(sprintf('%d %s', [1]), '1 %!s(MISSING)');
  t.equal(sprintf('%d', ['x']), '%!d(string=x)');
  t.equal(sprintf('x', [1, 'a']), 'x%!(EXTRA int=1, string=a)');
  t.equal(sprintf('%x %X %c %+d', ['ab', 255, 65, 3]), '6162 FF A +3');
  t.end();
});
