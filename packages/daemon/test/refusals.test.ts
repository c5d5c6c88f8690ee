/** What is kept of refusals: fair shares, and nothing for ever. */
import t from 'tap';
import { createRefusedNames } from '../src/networks/name-server/refused-names.ts';
import { takeInTurn } from '../src/networks/take-in-turn.ts';

t.test('a choice takes from everybody in turn', async (t) => {
  const items = ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'c2'];
  const of = (max: number) => takeInTurn(items, (item) => item.charAt(0), max);
  t.strictSame(of(5), ['a1', 'b1', 'c1', 'a2', 'c2']);
  t.strictSame(of(7), items);
  t.strictSame(of(0), []);
});

t.test('names: one container hides nobody’s, in its network or another', async (t) => {
  let nowMs = 0;
  const refused = createRefusedNames(() => nowMs);
  refused.add('other', 'c', 'far');
  refused.add('net', 'a', 'first');
  refused.add('net', 'a', 'first');
  for (let index = 0; index < 17_300; index += 1) refused.add('net', 'b', `name${index}`);
  refused.add('net', 'a', 'last');
  t.strictSame(refused.of('other').listed, [{ containerId: 'c', name: 'far', queries: 1 }]);
  const { listed, unlisted } = refused.of('net');
  t.strictSame(
    listed.filter(({ containerId }) => containerId === 'a'),
    [
      { containerId: 'a', name: 'first', queries: 2 },
      { containerId: 'a', name: 'last', queries: 1 },
    ],
  );
  t.equal(listed.length, 202);
  t.strictSame(unlisted, [{ containerId: 'b', queries: 17_100 }]);

  nowMs = 3_600_000;
  t.strictSame(refused.of('net'), { listed: [], unlisted: [] }, 'an hour later');
  refused.add('net', 'b', 'new');
  t.strictSame(refused.of('net').listed, [{ containerId: 'b', name: 'new', queries: 1 }]);
  refused.forget('net');
  t.strictSame(refused.of('net'), { listed: [], unlisted: [] });
});
