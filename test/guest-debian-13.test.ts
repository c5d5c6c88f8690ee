/** tsd as a systemd service on Debian 13 with its Linux 6.12, which mounts layers in yet another way: docs/layers.md. */
import t from 'tap';
import { GUEST_DEADLINE_MS, guestMissing, runGuest } from './guest/run-guest.ts';

const timeout = GUEST_DEADLINE_MS * 2;
t.setTimeout(timeout);
t.test('the guest', { skip: guestMissing, timeout }, (t) => runGuest(t, 'trixie'));
