import { TsdError } from '@tsd/shared/errors';
import { type Filters, parseFilterArguments } from '@tsd/shared/filters';
import { UsageError } from '../cli-error.ts';
import type { ParsedFlags } from './flag-spec.ts';

/** The values of --filter. Throws UsageError. */
export function filtersOf(flags: ParsedFlags): Filters {
  try {
    return parseFilterArguments(flags.list('filter'));
  } catch (error) {
    if (error instanceof TsdError) throw new UsageError(error.message, { showUsage: true });
    throw error;
  }
}
