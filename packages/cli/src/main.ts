/** tsdctl: the client of tsd. Wiring only. */
import { createOutput } from './output/output.ts';
import { runProgram, showError } from './program.ts';

const stderr = createOutput(2);
// A defect is one line too, like every other error; a stack would tell the user nothing.
process.on('uncaughtException', (error) => process.exit(showError(stderr, error)));

runProgram({
  argv: process.argv.slice(2),
  env: process.env,
  stdout: createOutput(1),
  stderr,
}).then((exitCode) => {
  // Kept-alive connections and an open stdin would keep the process for nothing.
  process.exit(exitCode);
});
