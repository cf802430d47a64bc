// Starts what a step needs on free ports, walks through it, and ends everything.

import { spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { lock } from "./lock.mjs";
import { pause, register } from "./platform.mjs";

const START_MS = 60_000;
const STOP_MS = 10_000;
const AGAIN_MS = 500;

/**
 * Runs a step: `start(world)` starts its programs, `walk(world)` shows what it is about. It ends then by
 * itself, or with Ctrl-C if it was called with `--stay`.
 */
export async function run(folderUrl, { start, walk }) {
  const folder = fileURLToPath(new URL(".", folderUrl));
  try {
    lock(join(folder, "data.lock"));
  } catch (error) {
    console.error(`error: ${error.message}`);
    process.exit(1);
  }
  const world = new World(folder);
  const interrupted = new Promise((resolve) => process.once("SIGINT", resolve).once("SIGTERM", resolve));
  let status = 0;
  try {
    const walked = start(world).then(() => walk(world));
    await Promise.race([walked, interrupted]);
    if (process.argv.includes("--stay")) {
      console.log(`ready: ${JSON.stringify(world.state())}`);
      await interrupted;
    }
  } catch (error) {
    console.error(`error: ${error.stack}`);
    status = 1;
  } finally {
    await world.end();
    process.exit(status);
  }
}

class World {
  /** Programs by their name, with address and process id. */
  programs = {};
  #children = new Map();
  #ending = false;

  constructor(folder) {
    this.folder = folder;
    this.data = join(folder, "data");
    rmSync(this.data, { recursive: true, force: true });
    mkdirSync(this.data);
    this.secret = randomBytes(32).toString("hex");
    writeFileSync(join(this.data, "jwt-secret"), this.secret);
  }

  /** What others need who look on, or change something. */
  state = () => ({ gateway: this.gateway, platform: this.platform, programs: this.programs });

  tell() {
    writeFileSync(join(this.data, "state.json"), JSON.stringify(this.state()));
  }

  /** Starts `ieum up` with a copy of the step's configuration, which may be changed under way. */
  async ieum() {
    copyFileSync(join(this.folder, "ieum.toml"), join(this.data, "ieum.toml"));
    const [api, gateway] = [await freePort(), await freePort()];
    const listen = ["--listen", `127.0.0.1:${api}`, "--gateway-listen", `127.0.0.1:${gateway}`];
    const leash = fileURLToPath(new URL("leash.mjs", import.meta.url));
    const child = this.#spawn([leash, ieumBinary(), "up", "-c", "ieum.toml", ...listen], { cwd: this.data });
    child.stdout.resume();
    const ended = new Promise((_, reject) => {
      this.#watch("ieum", child, () => reject(new Error(`ieum ended with ${child.exitCode}`)));
    });
    this.programs.ieum = { pid: child.pid };
    this.platform = `http://127.0.0.1:${api}`;
    this.gateway = `http://127.0.0.1:${gateway}`;
    this.tell();
    const answers = until(
      "ieum answers",
      async () => (await fetch(`${this.platform}/health`)).ok && (await fetch(this.gateway)).status > 0,
    );
    await Promise.race([answers, ended]);
  }

  /** Starts a program; it is started again where it was if it dies. */
  async program(name, file, port = 0) {
    const settings = {
      NAME: name,
      PORT: port,
      DATA: this.data,
      LIFELINE: 1,
      ...(this.platform && { PLATFORM: this.platform }),
    };
    const child = this.#spawn([join(this.folder, file)], { env: { ...process.env, ...settings } });
    const address = await new Promise((resolve, reject) => {
      const listens = (line) => / listens on (\S+)/.exec(line)?.[1];
      createInterface({ input: child.stdout }).on("line", (line) => listens(line) && resolve(listens(line)));
      child.once("exit", (code) => reject(new Error(`${name} ended with ${code} before it listened`)));
    });
    this.#watch(name, child, () => this.#again(name, file, Number(new URL(address).port)));
    this.programs[name] = { address, pid: child.pid };
    this.tell();
    return address;
  }

  /** Registers a program that knows nothing of a registry. */
  enter = (name) => register(this.platform, name, Number(new URL(this.programs[name].address).port));

  /** Waits until the gateway may call a service. */
  found = (name) =>
    until(
      `${name} is found`,
      async () => (await (await fetch(`${this.platform}/v1/health/service/${name}?passing`)).json()).length > 0,
    );

  async stop(name) {
    const child = this.#children.get(name);
    this.#children.delete(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.removeAllListeners("exit");
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    const killer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(killer);
  }

  /** Stops everything, the last first. */
  async end() {
    this.#ending = true;
    for (const name of [...this.#children.keys()].reverse()) await this.stop(name);
  }

  /** A token of somebody with this role. */
  token(role) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { userId: "u-1", roles: [role], exp: Math.floor(Date.now() / 1_000) + 3_600 };
    const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
    return `${signed}.${createHmac("sha256", this.secret).update(signed).digest("base64url")}`;
  }

  /** A child of its own group: Ctrl-C is for us alone, who end them in order. When we are gone, they see it. */
  #spawn(args, options) {
    return spawn(process.execPath, args, { ...options, stdio: ["pipe", "pipe", "inherit"], detached: true });
  }

  async #again(name, file, port) {
    while (!this.#ending) {
      try {
        return await this.program(name, file, port);
      } catch (error) {
        console.error(error.message);
        await pause(AGAIN_MS);
      }
    }
  }

  #watch(name, child, again = () => {}) {
    this.#children.set(name, child);
    child.removeAllListeners("exit").once("exit", () => this.#ending || again());
  }
}

/** The order that every step places. */
export const ORDER = {
  userId: "u-1",
  items: [
    { productId: "p-1", quantity: 2, price: 10_000 },
    { productId: "p-2", quantity: 1, price: 5_000 },
  ],
  address: "서울",
};

/** Places an order and answers status, body and who answered. */
export async function placeOrder(at, changes = {}) {
  const body = JSON.stringify({ ...ORDER, ...changes });
  const answer = await fetch(`${at}/api/orders`, {
    method: "POST",
    body,
    headers: { "content-type": "application/json" },
  });
  return { status: answer.status, body: await answer.json(), by: answer.headers.get("x-service") };
}

/** JSON from an address. */
export async function get(url, headers = {}) {
  const answer = await fetch(url, { headers });
  return {
    status: answer.status,
    body: await answer.json(),
    by: answer.headers.get("x-service"),
    headers: answer.headers,
  };
}

/** Waits until `holds` answers true; what it throws means not yet. */
export async function until(what, holds) {
  const end = Date.now() + START_MS;
  for (;;) {
    if (
      await Promise.resolve()
        .then(holds)
        .catch(() => false)
    )
      return;
    if (Date.now() > end) throw new Error(`in vain: ${what}`);
    await pause(50);
  }
}

/** Fails the walk if what it shows is not so. */
export function check(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
  console.log(`  ${what}`);
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** `IEUM`, or what was built here last, or what is in the path. */
function ieumBinary() {
  const target = (kind) => fileURLToPath(new URL(`../../../target/${kind}/ieum`, import.meta.url));
  const built = ["release", "debug"].map(target).filter(existsSync);
  built.sort((one, other) => statSync(other).mtimeMs - statSync(one).mtimeMs);
  const inPath = (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, "ieum"));
  const found = [process.env.IEUM, ...built, ...inPath].find((file) => file && existsSync(file));
  if (!found) throw new Error("there is no `ieum`: cargo build -p ieum-server, or set IEUM");
  return found;
}
