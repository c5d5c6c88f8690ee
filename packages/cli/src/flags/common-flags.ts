/** Flags that several commands share. */
import type { FlagSpec } from './flag-spec.ts';

export const FORMAT_FLAG: FlagSpec = {
  name: 'format',
  type: 'string',
  help:
    "Format output: 'table' (default), 'table TEMPLATE', 'json', or a Go TEMPLATE such as '{{.ID}} {{.Size}}' " +
    "('json' and TEMPLATE print a line for each entry)",
};

export const FILTER_FLAG: FlagSpec = {
  name: 'filter',
  short: 'f',
  type: 'list',
  placeholder: 'filter',
  help: 'Filter output based on conditions provided (such as label=NAME=VALUE)',
};

export const NO_TRUNC_FLAG: FlagSpec = { name: 'no-trunc', type: 'bool', help: "Don't truncate output" };

export const INSPECT_FORMAT_FLAG: FlagSpec = {
  name: 'format',
  short: 'f',
  type: 'string',
  help: "Format output: 'json', or a Go TEMPLATE such as '{{.State.Status}}' or '{{json .Config.Env}}'",
};

export const FORCE_FLAG: FlagSpec = {
  name: 'force',
  short: 'f',
  type: 'bool',
  help: 'Do not prompt for confirmation',
};

export const DISABLE_CONTENT_TRUST_FLAG: FlagSpec = {
  name: 'disable-content-trust',
  type: 'bool',
  default: true,
  help: 'Skip image verification (without effect) (default true)',
};
