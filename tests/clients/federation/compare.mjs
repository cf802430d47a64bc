// Asks the monolith and a gateway the same random operations and compares what they answer:
// compare.mjs MONOLITH GATEWAY COUNT SEED
// Data must be equal; errors must be told for the same places. Prints one line of JSON.
import { buildClientSchema, getIntrospectionQuery, getNamedType, isAbstractType, isCompositeType,
  isEnumType, isInputObjectType, isListType, isNonNullType, parse, validate } from "graphql";
import { isDeepStrictEqual } from "node:util";

const [right, ours, count, seed] = process.argv.slice(2);

async function ask(url, query, variables = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  return response.json();
}

// A generator of 32 bits (splitmix), so that a seed replays a run.
let state = Number(seed) >>> 0;
function random(n) {
  state = (state + 0x9e3779b9) >>> 0;
  let z = state;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return ((z ^ (z >>> 15)) >>> 0) % n;
}
const pick = (list) => list[random(list.length)];
const chance = (percent) => random(100) < percent;

const IDS = ["b1", "b2", "b3", "f1", "f2", "a1", "a2", "a3", "r1", "w1", "978-1", "978-3", "nobody"];

function fieldNames(schema) {
  const types = Object.values(schema.getTypeMap()).filter((type) => type.getFields && !type.name.startsWith("__"));
  return [...new Set(types.flatMap((type) => Object.values(type.getFields()).filter((f) => f.args).map((f) => f.name)))];
}

class Operation {
  variables = {};
  declared = [];
  fragments = [];
  size = 0;

  constructor(schema, kind) {
    this.schema = schema;
    this.names = ["__typename", ...fieldNames(schema)];
    const root = kind === "mutation" ? schema.getMutationType() : schema.getQueryType();
    const selection = this.selection(root, 0);
    const head = this.declared.length ? `(${this.declared.join(", ")})` : "";
    this.text = `${kind} Random${head} ${selection}\n${this.fragments.join("\n")}`;
  }

  selection(type, depth) {
    const items = [];
    if (isAbstractType(type)) {
      if (chance(50)) items.push("__typename");
      for (const possible of this.schema.getPossibleTypes(type)) {
        if (chance(55)) items.push(this.fragment(possible, depth));
      }
    }
    if (type.getFields) {
      const leaves = Object.values(type.getFields()).filter((f) => !isCompositeType(getNamedType(f.type)));
      const inner = Object.values(type.getFields()).filter((f) => isCompositeType(getNamedType(f.type)));
      for (const field of leaves) if (chance(45)) items.push(this.field(field, depth));
      if (depth < 5) for (const field of inner) if (chance(depth === 0 ? 45 : 30)) items.push(this.field(field, depth));
    }
    if (!items.length || chance(20)) items.push("__typename");
    return `{ ${items.join(" ")} }`;
  }

  fragment(type, depth) {
    const selection = this.selection(type, depth + 1);
    if (chance(30)) {
      const name = `F${this.fragments.length}`;
      this.fragments.push(`fragment ${name} on ${type.name} ${selection}`);
      return `...${name}${this.condition()}`;
    }
    return `... on ${type.name}${this.condition()} ${selection}`;
  }

  field(field, depth) {
    this.size += 1;
    const args = field.args.filter((arg) => isNonNullType(arg.type) || chance(50)).map((arg) => `${arg.name}: ${this.argument(arg.type)}`);
    const called = args.length ? `(${args.join(", ")})` : "";
    // Fields with arguments have a name of their own, so that two never disagree.
    // Some are called what others, keys among them, are called.
    const alias = called || chance(15) ? `x${this.size}: ` : chance(10) ? `${pick(this.names)}: ` : "";
    const type = getNamedType(field.type);
    const inner = isCompositeType(type) ? ` ${this.selection(type, depth + 1)}` : "";
    return `${alias}${field.name}${called}${this.condition()}${inner}`;
  }

  condition() {
    if (!chance(6)) return "";
    const value = chance(50) ? String(chance(50)) : this.variable("Boolean!", chance(60));
    return ` @${chance(50) ? "skip" : "include"}(if: ${value})`;
  }

  variable(type, value) {
    const name = `v${this.declared.length}`;
    this.declared.push(`$${name}: ${type}`);
    this.variables[name] = value;
    return `$${name}`;
  }

  argument(type) {
    const value = this.value(type);
    if (chance(50)) return this.variable(String(type), value);
    return this.literal(type, value);
  }

  value(type) {
    if (isNonNullType(type)) return this.value(type.ofType) ?? this.value(type);
    if (chance(8)) return null;
    if (isListType(type)) return Array.from({ length: random(3) }, () => this.value(type.ofType));
    if (isEnumType(type)) return pick(type.getValues()).name;
    if (isInputObjectType(type)) {
      const fields = Object.values(type.getFields()).filter((f) => isNonNullType(f.type) || chance(60));
      return Object.fromEntries(fields.map((f) => [f.name, this.value(f.type)]));
    }
    return { Int: () => random(4), Float: () => random(100) / 8, Boolean: () => chance(50),
      ID: () => pick(IDS), String: () => pick(["b", "1", "", "나무", "a\"\\\n"]) }[type.name]();
  }

  literal(type, value) {
    if (isNonNullType(type)) return this.literal(type.ofType, value);
    if (value === null) return "null";
    if (isListType(type)) return `[${value.map((item) => this.literal(type.ofType, item)).join(", ")}]`;
    if (isEnumType(type)) return value;
    if (isInputObjectType(type)) {
      const fields = Object.entries(value).map(([name, item]) => `${name}: ${this.literal(type.getFields()[name].type, item)}`);
      return `{${fields.join(", ")}}`;
    }
    return JSON.stringify(value);
  }
}

// Where errors are told. Below what became null it depends on the order of execution which are.
function places({ data, errors }) {
  const shown = (errors ?? []).filter(({ path }) => {
    let at = data;
    for (const step of path?.slice(0, -1) ?? []) at = at?.[step];
    return at != null;
  });
  return [...new Set(shown.map(({ path }) => JSON.stringify(path)))].sort();
}

const introspected = await ask(right, getIntrospectionQuery());
const schema = buildClientSchema(introspected.data);
const differences = [];
let compared = 0;
let withErrors = 0;
while (compared < Number(count)) {
  const operation = new Operation(schema, chance(8) ? "mutation" : "query");
  if (operation.size > 120 || validate(schema, parse(operation.text)).length) continue;
  const [theirs, own] = await Promise.all([ask(right, operation.text, operation.variables), ask(ours, operation.text, operation.variables)]);
  compared += 1;
  if (theirs.errors) withErrors += 1;
  const same = isDeepStrictEqual(theirs.data ?? null, own.data ?? null)
    && isDeepStrictEqual(places(theirs), places(own))
    && Boolean(theirs.errors) === Boolean(own.errors);
  if (!same) differences.push({ query: operation.text, variables: operation.variables, theirs, own });
}
console.log(JSON.stringify({ compared, withErrors, different: differences.length, differences: differences.slice(0, Number(process.env.MOST ?? 5)) }));
