// Prints the supergraph of services: compose.mjs NAME=URL…
import { composeServices } from "@apollo/composition";
import { services } from "./schemas.mjs";

const composed = composeServices(
  process.argv.slice(2).map((argument) => {
    const at = argument.indexOf("=");
    const name = argument.slice(0, at);
    return { name, url: argument.slice(at + 1), typeDefs: services[name].typeDefs };
  }),
);
if (!composed.supergraphSdl) {
  console.error(composed.errors.map((error) => error.message).join("\n"));
  process.exit(1);
}
process.stdout.write(composed.supergraphSdl);
