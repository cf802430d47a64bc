// The two services of the benchmark: users, and the orders of users.
import { parse } from "graphql";

const LINK = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])`;
const STATES = ["pending", "confirmed", "completed", "cancelled"];
const ORDERS = 10;

function orders(userId) {
  return Array.from({ length: ORDERS }, (_, n) => ({
    id: `${userId}-${n}`,
    total: 1000 * (n + 1),
    status: STATES[n % STATES.length],
  }));
}

export const services = {
  users: {
    typeDefs: parse(`${LINK}
      type Query { user(id: ID!): User }
      type User @key(fields: "id") { id: ID! name: String! }`),
    resolvers: {
      Query: { user: (_, { id }) => ({ id, name: `User ${id}` }) },
      User: { __resolveReference: ({ id }) => ({ id, name: `User ${id}` }) },
    },
  },
  orders: {
    typeDefs: parse(`${LINK}
      type User @key(fields: "id") { id: ID! orders: [Order!]! }
      type Order @key(fields: "id") { id: ID! total: Int! status: String! }`),
    resolvers: {
      User: { __resolveReference: ({ id }) => ({ id }), orders: ({ id }) => orders(id) },
      Order: { __resolveReference: ({ id }) => orders(id.split("-")[0]).find((o) => o.id === id) },
    },
  },
};
