/** What the conversion of flags into a request body may look at besides the flags. */
export interface RequestSource {
  /** The client's environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute; relative paths of bind mounts start here. */
  readonly workingDirectory: string;
  /** Reads a text file of the client. Throws CliError naming the file. */
  readFile(path: string): string;
  /** The size of the terminal behind stdout; null where there is none. */
  terminalSize(): { readonly rows: number; readonly columns: number } | null;
}
