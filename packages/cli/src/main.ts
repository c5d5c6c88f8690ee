/** tsdctl: the client of tsd. Wiring only. */
import { createOutput } from './output/output.ts';
import { runProgram } from './program.ts';

runProgram({
  argv: process.argv.slice(2),
  env: process.env,
  stdout: createOutput(1),
  stderr: createOutput(2),
}).then((exitCode) => {
  // Kept-alive connections and an open stdin would keep the process for nothing.
  process.exit(exitCode);
});
