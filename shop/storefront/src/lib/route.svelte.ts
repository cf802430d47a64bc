/** Where in the shop one is: the part of the address behind `#`, so that one page serves all. */

export type Route =
  | { page: "shelf"; query: string }
  | { page: "product"; id: string }
  | { page: "basket" }
  | { page: "orders" }
  | { page: "order"; id: string }
  | { page: "inbox" }
  | { page: "sign-in"; then: string }
  | { page: "nowhere" };

export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#/, "").split("?", 2);
  const [, page = "", id = ""] = path.split("/");
  const query = new URLSearchParams(search);
  switch (page) {
    case "":
      return { page: "shelf", query: query.get("q") ?? "" };
    case "products":
      return { page: "product", id: decoded(id) };
    case "orders":
      return id === "" ? { page: "orders" } : { page: "order", id: decoded(id) };
    case "basket":
    case "inbox":
      return { page };
    case "sign-in":
      return { page, then: query.get("then") ?? "#/" };
    default:
      return { page: "nowhere" };
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const to = {
  shelf: (query = ""): string => (query === "" ? "#/" : `#/?${new URLSearchParams({ q: query })}`),
  product: (id: string): string => `#/products/${encodeURIComponent(id)}`,
  basket: "#/basket",
  orders: "#/orders",
  order: (id: string): string => `#/orders/${encodeURIComponent(id)}`,
  inbox: "#/inbox",
  signIn: (then: string): string => `#/sign-in?${new URLSearchParams({ then })}`,
};

class Place {
  route = $state<Route>(parse(location.hash));

  constructor() {
    addEventListener("hashchange", () => {
      this.route = parse(location.hash);
    });
  }

  /** Goes there; only inside the shop, whatever a link says. */
  go(href: string): void {
    location.hash = href.startsWith("#/") ? href : "#/";
  }

  /** Goes there without a step in the history. */
  replace(href: string): void {
    history.replaceState(null, "", href);
    this.route = parse(href);
  }
}

export const place = new Place();
