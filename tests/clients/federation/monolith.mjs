// The world as one service: the client's schema, executed whole by graphql-js. What it answers is right by
// definition; a federated gateway must answer the same: monolith.mjs PORT
import { createServer } from "node:http";
import { composeServices } from "@apollo/composition";
import { graphql, isObjectType, isAbstractType } from "graphql";
import { services } from "./world.mjs";

const composed = composeServices(
  Object.entries(services).map(([name, { typeDefs }]) => ({ name, url: name, typeDefs })),
);
const schema = composed.schema.toAPISchema().toGraphQLJSSchema();

// A service sees of an object what it knows of it; here every resolver sees all that all know.
async function whole(type, parent) {
  let known = parent;
  for (const { resolvers } of Object.values(services)) {
    const more = await resolvers[type]?.__resolveReference?.({ ...known });
    if (more) known = { ...more, ...known };
  }
  return known;
}

for (const type of Object.values(schema.getTypeMap())) {
  if (isAbstractType(type)) type.resolveType = (value) => value.__typename;
  if (!isObjectType(type) || type.name.startsWith("__")) continue;
  for (const field of Object.values(type.getFields())) {
    const own = Object.values(services).map(({ resolvers }) => resolvers[type.name]?.[field.name]);
    const media = services.ratings.resolvers.Media[field.name];
    const ofInterface = type.getInterfaces().some((each) => each.name === "Media") ? media : undefined;
    const resolve = own.find(Boolean) ?? ofInterface ?? ((parent) => parent[field.name]);
    field.resolve = async (parent, args) => resolve(parent ? await whole(type.name, parent) : {}, args);
  }
}
const best = schema.getQueryType().getFields().best;
best.resolve = async () => whole("Book", { __typename: "Book", id: services.ratings.resolvers.Query.best().id });

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    const { query: source, variables: variableValues } = JSON.parse(Buffer.concat(parts).toString());
    const result = await graphql({ schema, source, variableValues });
    response.setHeader("content-type", "application/json").end(JSON.stringify(result));
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("serving"));
