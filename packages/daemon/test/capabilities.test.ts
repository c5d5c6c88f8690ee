import t from 'tap';
import {
  CAPABILITY_NAMES,
  type CapabilityName,
  containerCapabilities,
  DEFAULT_CAPABILITIES,
} from '../src/runtime/capabilities.ts';

function capabilities(
  add: readonly string[],
  drop: readonly string[],
  options: { privileged?: boolean; available?: readonly CapabilityName[] } = {},
): CapabilityName[] {
  return containerCapabilities({
    add,
    drop,
    privileged: options.privileged ?? false,
    available: options.available ?? CAPABILITY_NAMES,
  });
}

t.test('containerCapabilities', async (t) => {
  t.equal(DEFAULT_CAPABILITIES.length, 11);
  t.same(capabilities([], []), DEFAULT_CAPABILITIES, 'the default');
  t.same(capabilities(['net_admin'], ['CAP_CHOWN', 'kill']), [
    ...DEFAULT_CAPABILITIES.filter((name) => name !== 'CAP_CHOWN' && name !== 'CAP_KILL'),
    'CAP_NET_ADMIN',
  ]);
  t.same(capabilities([], ['ALL']), []);
  t.same(capabilities(['CHOWN', 'CAP_CHOWN'], ['all']), ['CAP_CHOWN']);
  t.same(
    capabilities(['ALL'], ['SYS_ADMIN']),
    CAPABILITY_NAMES.filter((name) => name !== 'CAP_SYS_ADMIN'),
  );
  t.same(
    capabilities(['ALL'], ['ALL', 'SYS_ADMIN']),
    CAPABILITY_NAMES.filter((name) => name !== 'CAP_SYS_ADMIN'),
  );
  t.same(
    capabilities([], ['SYS_ADMIN'], { privileged: true }),
    CAPABILITY_NAMES,
    'privileged is all, whatever is dropped',
  );
  t.same(capabilities([], [], { available: ['CAP_CHOWN', 'CAP_BPF'] }), ['CAP_CHOWN'], "never more than the host's");
});

t.test('names that do not exist, or not here', async (t) => {
  t.throws(() => capabilities(['FLY'], []), {
    code: 'bad_parameter',
    message: 'invalid CapAdd: unknown capability: "CAP_FLY"',
  });
  t.throws(() => capabilities([], ['']), { message: 'invalid CapDrop: unknown capability: "CAP_"' });
  t.throws(() => capabilities(['SYS_TIME'], [], { available: ['CAP_CHOWN'] }), {
    message:
      'invalid CapAdd: capability not supported by your kernel or not available in the current environment: "CAP_SYS_TIME"',
  });
});
