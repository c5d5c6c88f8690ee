/** The version of this tsd: daemon, launcher and client are released together. */
export const VERSION = '0.1.0';
