// A small graph over six services that needs most of what federation has: entities with several keys,
// @requires, @provides, interfaces, an interface object, unions, shared and overridden fields, what is
// inaccessible, nested lists and nulls.
import { parse } from "graphql";

const LINK = `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: [
  "@key", "@external", "@requires", "@provides", "@shareable", "@inaccessible", "@override", "@interfaceObject"])`;

const books = [
  { id: "b1", isbn: "978-1", title: "나무 이음", price: 18000, pages: 320, weight: 450, author: "a1",
    tags: [["wood", "joint"], [], ["\"quoted\" \\ \u{1F9F1}"]], related: ["f1", "b2"] },
  { id: "b2", isbn: "978-2", title: "Timber frames", price: 42000, pages: null, weight: 1200, author: "a2",
    tags: null, related: [] },
  { id: "b3", isbn: "978-3", title: "No author", price: null, pages: 12, weight: 80, author: null,
    tags: [[]], related: ["f2", "b1", "f1"] },
];
const films = [
  { id: "f1", title: "The joiner", price: 9900, minutes: 101, director: "a2", related: ["b1"] },
  { id: "f2", title: "Silence", price: 100, minutes: null, director: null, related: null },
];
const authors = [
  { id: "a1", name: "Ada", email: "ada@example.com", born: 1815, friends: ["a2", "a3"] },
  { id: "a2", name: "Bea", email: "bea@example.com", born: null, friends: [] },
  { id: "a3", name: "Cem", email: null, born: 1990, friends: null },
];
const reviews = [
  { id: "r1", stars: 5, text: "Good.", of: "b1", by: "a2" },
  { id: "r2", stars: 1, text: null, of: "b1", by: "a3" },
  { id: "r3", stars: 3, text: "\u0000\t\n", of: "f1", by: "a1" },
  { id: "r4", stars: 4, text: "좋아요", of: "b3", by: "a1" },
];
const stock = {
  "978-1": { inStock: 3, warehouses: ["w1", "w2"] },
  "978-2": { inStock: 0, warehouses: [] },
  "978-3": { inStock: null, warehouses: ["w2"] },
};
const warehouses = [
  { id: "w1", city: "Seoul", at: [37.5665, 126.978], shelves: [[1, 2], [3]] },
  { id: "w2", city: "Busan", at: [35.1796, 129.0756], shelves: [null, [4, null]] },
];

const typed = (type) => (item) => item && { __typename: type, ...item };
const product = (id) => typed("Book")(books.find((b) => b.id === id)) ?? typed("Film")(films.find((f) => f.id === id));
const author = (id) => typed("Author")(authors.find((a) => a.id === id)) ?? null;
const products = () => [...books.map(typed("Book")), ...films.map(typed("Film"))];
const stars = (id) => {
  const own = reviews.filter((r) => r.of === id).map((r) => r.stars);
  return own.length ? own.reduce((sum, each) => sum + each) / own.length : null;
};
const first = (list, n) => (n == null ? list : list.slice(0, n));

export const services = {
  catalog: {
    typeDefs: `${LINK}
      type Query {
        products(first: Int): [Product!]!
        product(id: ID!): Product
        book(isbn: ID!): Book
        search(text: String, kinds: [Kind!] = [BOOK, FILM]): [Found]
        media: [Media!]!
        version: String! @shareable
      }
      type Mutation { rename(input: Renaming!): Product }
      input Renaming { id: ID!, title: String = "renamed", notes: [String!] }
      enum Kind { BOOK FILM AUTHOR SECRET @inaccessible }
      interface Product { id: ID! title: String! price: Int related: [Product] }
      interface Media @key(fields: "id") { id: ID! label: String }
      type Book implements Product & Media @key(fields: "id") @key(fields: "isbn") {
        id: ID! isbn: ID! title: String! price: Int pages: Int weight: Int
        tags: [[String!]!] author: Author related: [Product] label: String
      }
      type Film implements Product & Media @key(fields: "id") {
        id: ID! title: String! price: Int minutes: Int director: Author related: [Product] label: String
      }
      type Author @key(fields: "id") { id: ID! works: [Product!]! }
      union Found = Book | Film | Author`,
    resolvers: {
      Query: {
        products: (_, { first: n }) => first(products(), n),
        product: (_, { id }) => product(id) ?? null,
        book: (_, { isbn }) => typed("Book")(books.find((b) => b.isbn === isbn)) ?? null,
        search: (_, { text, kinds }) => [
          ...(kinds.includes("BOOK") ? books.map(typed("Book")) : []),
          ...(kinds.includes("FILM") ? films.map(typed("Film")) : []),
          null,
          ...(kinds.includes("AUTHOR") ? authors.map(({ id }) => ({ __typename: "Author", id })) : []),
        ].filter((found) => !text || !found || found.id.includes(text)),
        media: () => products(),
        version: () => "1.0",
      },
      Mutation: { rename: (_, { input }) => ({ ...product(input.id), title: input.title }) },
      Book: {
        __resolveReference: ({ id, isbn }) => typed("Book")(books.find((b) => b.id === id || b.isbn === isbn)),
        author: ({ author: id }) => id && { id }, related: ({ related }) => related?.map(product), label: (b) => b.title,
      },
      Film: {
        __resolveReference: ({ id }) => typed("Film")(films.find((f) => f.id === id)),
        director: ({ director: id }) => id && { id }, related: ({ related }) => related?.map(product), label: () => null,
      },
      Media: { __resolveReference: ({ id }) => product(id) },
      Author: {
        __resolveReference: ({ id }) => ({ id }),
        works: ({ id }) => products().filter((p) => p.author === id || p.director === id),
      },
    },
  },
  people: {
    typeDefs: `${LINK}
      type Query { authors(born: Int): [Author!]! author(id: ID!): Author version: String! @shareable }
      type Author @key(fields: "id") @key(fields: "contact { email }") {
        id: ID! name: String! @shareable contact: Contact! born: Int friends: [Author!]
        secret: String @inaccessible age(in: Int! = 2026): Int
      }
      type Contact { email: String }`,
    resolvers: {
      Query: {
        authors: (_, { born }) => authors.filter((a) => born == null || a.born === born),
        author: (_, { id }) => author(id),
        version: () => "1.0",
      },
      Author: {
        __resolveReference: ({ id, contact }) => authors.find((a) => a.id === id || (contact && a.email === contact.email)),
        contact: ({ email }) => ({ email }),
        friends: ({ friends }) => friends?.map(author), secret: () => "hidden",
        age: ({ born }, { in: year }) => born && year - born,
      },
    },
  },
  stock: {
    typeDefs: `${LINK}
      type Query { warehouses: [Warehouse!]! }
      type Book @key(fields: "isbn") {
        isbn: ID! inStock: Int warehouses: [Warehouse!]!
        price: Int @external weight: Int @external
        postage(zone: Zone = HOME): Int @requires(fields: "price weight")
        bargain: Boolean @requires(fields: "price")
      }
      enum Zone { HOME ABROAD }
      type Film @key(fields: "id") { id: ID! inStock: Int! }
      type Warehouse @key(fields: "id") { id: ID! city: String! at: [Float!]! shelves: [[Int]] books: [Book!]! }`,
    resolvers: {
      Query: { warehouses: () => warehouses },
      Book: {
        __resolveReference: (reference) => (stock[reference.isbn] ? { ...stock[reference.isbn], ...reference } : null),
        warehouses: ({ warehouses: ids }) => ids.map((id) => warehouses.find((w) => w.id === id)),
        postage: ({ price, weight }, { zone }) => (price == null ? null : Math.ceil(weight / 100) * (zone === "HOME" ? 10 : 25) + price % 7),
        bargain: ({ price }) => (price == null ? null : price < 20000),
      },
      Film: { __resolveReference: ({ id }) => ({ id }), inStock: ({ id }) => (id === "f2" ? null : 9) },
      Warehouse: {
        __resolveReference: ({ id }) => warehouses.find((w) => w.id === id),
        books: ({ id }) => Object.entries(stock).filter(([, s]) => s.warehouses.includes(id)).map(([isbn, s]) => ({ isbn, ...s })),
      },
    },
  },
  reviews: {
    typeDefs: `${LINK}
      type Query { latest(first: Int = 2): [Review!]! review(id: ID!): Review @deprecated(reason: "use latest") }
      type Review @key(fields: "id") {
        id: ID! stars: Int! text: String by: Author! @provides(fields: "name") of: Reviewed
      }
      union Reviewed = Book | Film
      type Author @key(fields: "id") { id: ID! name: String! @shareable @external reviews(first: Int): [Review!]! }
      type Book @key(fields: "id") { id: ID! reviews(atLeast: Int = 0): [Review!]! }
      type Film @key(fields: "id") { id: ID! reviews(atLeast: Int = 0): [Review!]! }`,
    resolvers: {
      Query: {
        latest: (_, { first: n }) => first([...reviews].reverse(), n),
        review: (_, { id }) => reviews.find((r) => r.id === id) ?? null,
      },
      Review: {
        __resolveReference: ({ id }) => reviews.find((r) => r.id === id),
        by: ({ by }) => author(by), of: ({ of }) => { const { __typename, id } = product(of); return { __typename, id }; },
      },
      Author: { __resolveReference: ({ id }) => ({ id }), name: ({ id }) => author(id).name,
        reviews: ({ id }, { first: n }) => first(reviews.filter((r) => r.by === id), n) },
      Book: { __resolveReference: ({ id }) => ({ id }), reviews: ({ id }, { atLeast }) => reviews.filter((r) => r.of === id && r.stars >= atLeast) },
      Film: { __resolveReference: ({ id }) => ({ id }), reviews: ({ id }, { atLeast }) => reviews.filter((r) => r.of === id && r.stars >= atLeast) },
    },
  },
  ratings: {
    typeDefs: `${LINK}
      type Query { best: Media }
      type Media @key(fields: "id") @interfaceObject { id: ID! stars: Float }`,
    resolvers: {
      Query: { best: () => ({ id: "b1" }) },
      Media: { __resolveReference: ({ id }) => ({ id }), stars: ({ id }) => stars(id) },
    },
  },
  ledger: {
    typeDefs: `${LINK}
      type Query { version: String! @shareable }
      type Book @key(fields: "isbn") @key(fields: "id") { id: ID! isbn: ID! sold: Int pages: Int @override(from: "catalog") }
      type Film @key(fields: "id") { id: ID! sold: Int }`,
    resolvers: {
      Query: { version: () => "1.0" },
      Book: {
        __resolveReference: ({ id, isbn }) => books.find((b) => b.id === id || b.isbn === isbn),
        sold: ({ id }) => (id === "b3" ? null : 7),
      },
      Film: { __resolveReference: ({ id }) => ({ id }), sold: () => { throw new Error("the ledger of films is closed"); } },
    },
  },
};

for (const service of Object.values(services)) service.typeDefs = parse(service.typeDefs);
