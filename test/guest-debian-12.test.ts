/** tsd as a systemd service on the oldest kernel that it supports: Debian 12 with its Linux 6.1. */
import t from 'tap';
import { GUEST_DEADLINE_MS, guestMissing, runGuest } from './guest/run-guest.ts';

const timeout = GUEST_DEADLINE_MS * 2;
t.setTimeout(timeout);
t.test('the guest', { skip: guestMissing, timeout }, (t) => runGuest(t, 'bookworm'));
