// The services of the world, all on one port, and their supergraph: serve.mjs PORT SUPERGRAPH
// `GET /fetches` tells how often each service was asked since the last time.
import { createServer } from "node:http";
import { writeFileSync } from "node:fs";
import { composeServices } from "@apollo/composition";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { graphql } from "graphql";
import { services } from "./world.mjs";

const [port, supergraph] = process.argv.slice(2);
const url = (name) => `http://127.0.0.1:${port}/${name}`;
const composed = composeServices(
  Object.entries(services).map(([name, { typeDefs }]) => ({ name, url: url(name), typeDefs })),
);
if (!composed.supergraphSdl) throw new Error(composed.errors.map((error) => error.message).join("\n"));

const schemas = Object.fromEntries(
  Object.entries(services).map(([name, service]) => [name, buildSubgraphSchema(service)]),
);
let fetches = {};

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    const send = (value) => response.setHeader("content-type", "application/json").end(JSON.stringify(value));
    if (request.url === "/fetches") {
      send(fetches);
      fetches = {};
      return;
    }
    const name = request.url.slice(1);
    fetches[name] = (fetches[name] ?? 0) + 1;
    const { query: source, variables: variableValues } = JSON.parse(Buffer.concat(parts).toString());
    send(await graphql({ schema: schemas[name], source, variableValues }));
  });
});
server.listen(Number(port), "127.0.0.1", () => {
  writeFileSync(supergraph, composed.supergraphSdl);
  console.log("serving");
});
