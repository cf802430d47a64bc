// One service on graphql-js: subgraph.mjs NAME PORT. Documents are parsed and validated once each.
import { createServer } from "node:http";
import { buildSubgraphSchema } from "@apollo/subgraph";
import { execute, parse, validate } from "graphql";
import { services } from "./schemas.mjs";

const [name, port] = process.argv.slice(2);
const schema = buildSubgraphSchema(services[name]);
const documents = new Map();

function document(query) {
  let known = documents.get(query);
  if (!known) {
    const parsed = parse(query);
    const errors = validate(schema, parsed);
    known = errors.length ? { errors } : { parsed };
    documents.set(query, known);
  }
  return known;
}

async function answer(body) {
  const { query, variables } = JSON.parse(body);
  const { parsed, errors } = document(query);
  return errors ? { errors } : execute({ schema, document: parsed, variableValues: variables });
}

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    const result = JSON.stringify(await answer(Buffer.concat(parts).toString()));
    response.writeHead(200, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(result),
    });
    response.end(result);
  });
});
// Longer than either gateway keeps an unused connection.
server.keepAliveTimeout = 60_000;
server.listen(Number(port), "127.0.0.1");
