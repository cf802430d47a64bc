// Says how many of a hundred requests go to the orders service: `node share.mjs 10`. Back is `node share.mjs 0`.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { get, until } from "../lib/run.mjs";

/** Changes the running gateway's configuration, and waits until it has taken it over. */
export async function share(percent) {
  const of = (name) => fileURLToPath(new URL(`data/${name}`, import.meta.url));
  const { platform, programs } = JSON.parse(readFileSync(of("state.json"), "utf8"));
  const config = readFileSync(of("ieum.toml"), "utf8");
  writeFileSync(of("ieum.toml"), config.replace(/percent = \d+/g, `percent = ${percent}`));
  process.kill(programs.ieum.pid, "SIGHUP");
  await until(`the share is ${percent} %`, async () => {
    const { body } = await get(`${platform}/api/v1/routes`);
    return body.routes.filter(({ split }) => split).every(({ split }) => split.percent === percent);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const percent = Number(process.argv[2]);
  if (!Number.isInteger(percent) || percent < 0 || percent > 100) throw new Error("node share.mjs PERCENT, 0 to 100");
  await share(percent);
}
