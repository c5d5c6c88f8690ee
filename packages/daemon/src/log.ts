import { type Logger, pino } from 'pino';
import type { LogLevel } from './config-settings.ts';

/** The daemon's log: one JSON object a line on standard error, where systemd and a terminal both find it. */
export function createLog(level: LogLevel): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    // Synchronous: the last line before a crash is the one that matters.
    pino.destination({ fd: 2, sync: true }),
  );
}
