/** tsd as a systemd service on a current kernel: Debian 13 with the kernel of its backports. */
import t from 'tap';
import { GUEST_DEADLINE_MS, guestMissing, runGuest } from './guest/run-guest.ts';

const timeout = GUEST_DEADLINE_MS * 2;
t.setTimeout(timeout);
t.test('the guest', { skip: guestMissing, timeout }, (t) => runGuest(t, 'trixie-backports'));
