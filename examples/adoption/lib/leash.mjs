// Runs a program for as long as whoever started this holds the other end of standard input.

import { spawn } from "node:child_process";

const [program, ...args] = process.argv.slice(2);
const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"] });
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => child.kill(signal));
process.stdin.resume().on("close", () => child.kill("SIGKILL"));
child.once("error", (error) => {
  console.error(`error: ${error.message}`);
  process.exit(1);
});
child.once("exit", (code) => process.exit(code ?? 1));
