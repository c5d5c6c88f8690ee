/** ./quickstart runs to its end, shows a real container, and leaves nothing behind; twice in a row. */
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { repository, run } from './support/client.ts';

const states = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('tsd-quickstart-'));

for (const round of ['the first time', 'again']) {
  t.test(round, { timeout: 120_000 }, async (t) => {
    const before = states();
    const { code, stdout, stderr } = await run(join(repository, 'quickstart'), [], { timeoutMs: 110_000 });
    t.equal(code, 0, stderr);
    t.match(stdout, /^hostname: +[0-9a-f]{12}$/m);
    t.match(stdout, /^who am I: +uid=0\(root\)/m);
    t.match(stdout, /container root is uid \d{6,}$/m);
    t.match(stdout, /^memory limit: +104857600 bytes$/m);
    t.match(stdout, /^104857600$/m, 'the limit as the host has it');
    t.match(stdout, /^Next steps:$/m);
    t.same(states(), before, 'no state stays');
  });
}
