// Drives a platform with the unmodified npm package `consul`.
//
//   node client.mjs api HOST PORT            every part of the API, each with what it must answer
//   node client.mjs serve HOST PORT NAME ID  an HTTP service that registers itself with a check
//
// It ends with status 0 and a last line of JSON, or with the assertion that failed.
import assert from "node:assert/strict";
import http from "node:http";

import Consul from "consul";

const [mode, host, port, ...rest] = process.argv.slice(2);
const consul = new Consul({ host, port });
const steps = [];

async function step(name, work) {
  await work();
  steps.push(name);
}

/** Somebody else was quicker. The client makes `undefined` of the answer `false`. */
function lost(done, why) {
  assert.ok(!done, why);
}

/** The client says only that it was refused; why stands in the answer's body. */
async function refused(call, why) {
  await assert.rejects(call, (error) => {
    assert.equal(error.statusCode, 400);
    const said = String(error.response.body);
    assert.ok(said.includes(why), said);
    return true;
  });
}

/** The next change of a watch for which `wanted` holds. */
function next(watch, wanted) {
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => reject(new Error("the watch was left hanging")), 20_000);
    watch.on("error", reject);
    watch.on("change", (data, res) => {
      if (!wanted(data)) return;
      clearTimeout(limit);
      watch.end();
      resolve([data, res.headers["x-consul-index"]]);
    });
  });
}

async function services() {
  for (const [id, version, tags] of [
    ["node-1", "1", ["old", "primary"]],
    ["node-2", "2", ["new"]],
  ]) {
    await consul.agent.service.register({
      name: "node",
      id,
      address: "127.0.0.1",
      port: 9,
      tags,
      meta: { version },
      checks: [
        { checkid: `${id}-ttl`, name: "alive", ttl: "60s", status: "passing", notes: "by hand" },
        { checkid: `${id}-more`, name: "more", ttl: "60s", status: "passing" },
      ],
    });
  }
  const all = await consul.agent.service.list();
  assert.deepEqual(Object.keys(all), ["node-1", "node-2"]);
  const catalog = await consul.catalog.service.list();
  assert.deepEqual(catalog.node, ["new", "old", "primary"]);
  const nodes = await consul.catalog.service.nodes("node");
  assert.deepEqual(nodes.map((node) => node.ServiceMeta.version), ["1", "2"]);
  assert.deepEqual(await consul.catalog.datacenters(), ["dc1"]);
  const [node] = await consul.catalog.node.list();
  const { Services } = await consul.catalog.node.services(node.Node);
  assert.deepEqual(Object.keys(Services), ["node-1", "node-2"]);
}

async function filters() {
  const ids = async (filter) => {
    const found = await consul.health.service({ service: "node", filter });
    return found.map((entry) => entry.Service.ID);
  };
  assert.deepEqual(await ids('Service.Meta.version == "2"'), ["node-2"]);
  assert.deepEqual(await ids('"primary" in Service.Tags or Service.Port == 1'), ["node-1"]);
  assert.deepEqual(await ids('not (Service.ID matches "-[12]$")'), []);
  await refused(ids("Service.Nope == 1"), 'Selector "Service.Nope" is not valid');
  const tagged = await consul.health.service({ service: "node", tag: "new" });
  assert.equal(tagged.length, 1);
  const listed = await consul.agent.service.list({ filter: "Meta.version == 1" });
  assert.deepEqual(Object.keys(listed), ["node-1"]);
}

async function checks() {
  await consul.agent.check.fail({ id: "node-1-ttl", note: "by the test" });
  const passing = await consul.health.service({ service: "node", passing: true });
  assert.deepEqual(passing.map((entry) => entry.Service.ID), ["node-2"]);
  const [critical] = await consul.health.state("critical");
  assert.equal(critical.Output, "by the test");
  await consul.agent.check.warn("node-1-ttl");
  assert.equal((await consul.health.state("warning")).length, 1);
  await consul.agent.check.pass("node-1-ttl");
  await consul.agent.check.register({
    name: "third", id: "node-1-third", serviceid: "node-1", ttl: "60s", status: "passing",
  });
  const of = await consul.health.checks("node");
  assert.equal(of.length, 5);
  await consul.agent.check.deregister("node-1-third");
  const list = await consul.agent.check.list();
  assert.deepEqual(Object.keys(list).length, 4);
  const [node] = await consul.catalog.node.list();
  assert.equal((await consul.health.node(node.Node)).length, 4);
  const script = { name: "x", check: { args: ["/bin/true"], interval: "1s" } };
  await refused(consul.agent.service.register(script), "`args` is not supported");
}

async function maintenance() {
  await consul.agent.service.maintenance({ id: "node-2", enable: true, reason: "upgrade" });
  const passing = await consul.health.service({ service: "node", passing: true });
  assert.deepEqual(passing.map((entry) => entry.Service.ID), ["node-1"]);
  await consul.agent.service.maintenance({ id: "node-2", enable: false });
  await consul.agent.maintenance({ enable: true, reason: "all of it" });
  assert.equal((await consul.health.service({ service: "node", passing: true })).length, 0);
  await consul.agent.maintenance(false);
  assert.equal((await consul.health.service({ service: "node", passing: true })).length, 2);
}

async function external() {
  await consul.catalog.register({
    node: "partner", address: "10.0.0.7", nodemeta: { external: "yes" },
    service: { id: "db-1", service: "db", port: 5432 },
  });
  const [db] = await consul.health.service("db");
  assert.equal(db.Node.Node, "partner");
  assert.equal((await consul.catalog.node.list({ "node-meta": "external:yes" })).length, 1);
  await consul.catalog.deregister({ node: "partner" });
  assert.deepEqual(await consul.health.service("db"), []);
}

async function watching() {
  const options = { service: "node" };
  const watch = consul.watch({ method: consul.health.service, options });
  const [, index] = await next(watch, (entries) => entries.length === 2);
  const changed = consul.watch({ method: consul.health.service, options: { ...options, index } });
  const seen = next(changed, (entries) => entries.length === 1);
  await consul.agent.service.deregister("node-2");
  const [entries] = await seen;
  assert.equal(entries[0].Service.ID, "node-1");
  // Of another life: the client starts anew instead of being left hanging.
  const old = { ...options, index: String(10n ** 12n) };
  await next(consul.watch({ method: consul.health.service, options: old }), () => true);
}

async function keys() {
  assert.equal(await consul.kv.set("app/config/a", "이음"), true);
  assert.equal((await consul.kv.get("app/config/a")).Value, "이음");
  assert.equal(await consul.kv.set({ key: "app/config/b", value: "2", flags: 7 }), true);
  assert.equal((await consul.kv.get("app/config/b")).Flags, 7);
  assert.equal((await consul.kv.get({ key: "app/", recurse: true })).length, 2);
  assert.deepEqual(await consul.kv.keys({ key: "app/", separator: "/" }), ["app/config/"]);
  const raw = await consul.kv.get({ key: "app/config/b", raw: true });
  assert.equal(raw.toString(), "2");
  assert.equal(await consul.kv.get("missing"), undefined);
  const { ModifyIndex } = await consul.kv.get("app/config/b");
  assert.equal(await consul.kv.set({ key: "app/config/b", value: "3", cas: ModifyIndex }), true);
  lost(await consul.kv.set({ key: "app/config/b", value: "4", cas: ModifyIndex }));
  const options = { key: "app/config/b", index: (await consul.kv.get("app/config/b")).ModifyIndex };
  const seen = next(consul.watch({ method: consul.kv.get, options }), (entry) => entry?.Value === "5");
  await consul.kv.set("app/config/b", "5");
  await seen;
  const done = await consul.transaction.create([
    { KV: { Verb: "set", Key: "app/txn", Value: Buffer.from("1").toString("base64") } },
    { KV: { Verb: "get", Key: "app/config/b" } },
  ]);
  assert.equal(Buffer.from(done.Results[1].KV.Value, "base64").toString(), "5");
  await consul.kv.del({ key: "app/", recurse: true });
  assert.equal(await consul.kv.get({ key: "app/", recurse: true }), undefined);
}

async function sessions() {
  const { ID: one } = await consul.session.create({ name: "one", ttl: "30s", lockdelay: "1s" });
  const { ID: two } = await consul.session.create({ name: "two", behavior: "delete", lockdelay: "0s" });
  assert.equal(await consul.kv.set({ key: "leader", value: "one", acquire: one }), true);
  lost(await consul.kv.set({ key: "leader", value: "two", acquire: two }));
  assert.equal((await consul.kv.get("leader")).Session, one);
  assert.equal((await consul.session.get(one)).Name, "one");
  assert.equal((await consul.session.list()).length, 2);
  assert.equal((await consul.session.renew(one))[0].ID, one);
  const released = next(
    consul.watch({ method: consul.kv.get, options: { key: "leader" } }),
    (entry) => !entry.Session,
  );
  await consul.session.destroy(one);
  await released;
  lost(await consul.kv.set({ key: "leader", value: "two", acquire: two }), "its lock delay");
  const limit = Date.now() + 10_000;
  while (!(await consul.kv.set({ key: "leader", value: "two", acquire: two }))) {
    assert.ok(Date.now() < limit, "the lock delay of 1 s is over");
  }
  await consul.session.destroy(two);
  assert.equal(await consul.kv.get("leader"), undefined, "deleted with its session");
}

async function agent() {
  const itself = await consul.agent.self();
  assert.equal(itself.Config.Datacenter, "dc1");
  assert.equal((await consul.agent.members()).length, 1);
  assert.ok(await consul.status.leader());
  assert.equal((await consul.status.peers()).length, 1);
}

async function api() {
  await step("agent", agent);
  await step("services", services);
  await step("filters", filters);
  await step("checks", checks);
  await step("maintenance", maintenance);
  await step("external", external);
  await step("watch", watching);
  await step("keys", keys);
  await step("sessions", sessions);
  console.log(JSON.stringify({ client: "npm consul", steps }));
  consul.destroy();
}

async function serve([name, id]) {
  const server = http.createServer((request, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ id, path: request.url }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const own = server.address().port;
  await consul.agent.service.register({
    name, id, address: "127.0.0.1", port: own,
    check: { http: `http://127.0.0.1:${own}/health`, interval: "1s", timeout: "500ms" },
  });
  console.log(JSON.stringify({ ready: own }));
}

await (mode === "api" ? api() : serve(rest));
