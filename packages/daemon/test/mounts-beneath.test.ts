import t from 'tap';
import { mountsBeneath } from '../src/os/mounts-beneath.ts';

const MOUNTINFO = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw shared:5 - proc proc rw
24 22 8:2 / /srv/data rw - ext4 /dev/sdb1 rw
25 24 0:30 / /srv/data/a\\040b/c rw master:3 - tmpfs tmpfs rw
26 24 0:31 / /srv/data/x rw - tmpfs below rw
27 26 0:32 / /srv/data/x rw - overlay above rw
28 22 0:33 / /srv/database rw - tmpfs tmpfs rw
`;

t.test('what is mounted beneath a directory', async (t) => {
  t.same(mountsBeneath('/srv/data', MOUNTINFO), [
    { path: 'x', fsType: 'overlay' },
    { path: 'a b/c', fsType: 'tmpfs' },
  ]);
  t.same(mountsBeneath('/srv/data/x', MOUNTINFO), []);
  t.same(
    mountsBeneath('/', MOUNTINFO).map(({ path }) => path),
    ['proc', 'srv/data', 'srv/database', 'srv/data/x', 'srv/data/a b/c'],
  );
  t.ok(mountsBeneath('/').some(({ path, fsType }) => path === 'proc' && fsType === 'proc'));
});
