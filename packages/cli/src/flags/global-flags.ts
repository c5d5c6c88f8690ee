import type { FlagSpec } from './flag-spec.ts';

/** Flags in front of the command. */
export const GLOBAL_FLAGS: readonly FlagSpec[] = [
  {
    name: 'host',
    short: 'H',
    type: 'string',
    placeholder: 'socket',
    help: 'Daemon socket to connect to (default $TSD_HOST or unix:///run/tsd/tsd.sock)',
  },
  { name: 'version', short: 'v', type: 'bool', help: 'Print version information and quit' },
  { name: 'help', type: 'bool', help: 'Print usage' },
];
