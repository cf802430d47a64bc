// Where the user is: `#/sagas/ID?tab=x`. One page serves all, so the path stands behind the hash.

class Router {
  #place = $state.raw(read());

  constructor() {
    window.addEventListener("hashchange", () => {
      this.#place = read();
    });
  }

  /** The name of the page: the first segment. */
  get page(): string {
    return this.#place.segments[0] ?? "";
  }

  /** What follows the name of the page. */
  get rest(): string[] {
    return this.#place.segments.slice(1);
  }

  get query(): URLSearchParams {
    return this.#place.query;
  }

  /** The whole place, to tell one from another. */
  get place(): string {
    return this.#place.text;
  }

  go(target: string): void {
    location.hash = target;
  }

  /** Changes one member of the query without a step in the browser's history. */
  setQuery(name: string, value: string | undefined): void {
    const query = new URLSearchParams(this.#place.query);
    if (value === undefined || value === "") query.delete(name);
    else query.set(name, value);
    const segments = this.#place.segments;
    const text = href(segments, Object.fromEntries(query));
    history.replaceState(null, "", text);
    this.#place = read();
  }
}

/** A link to a place in the console. */
export function href(segments: string[], query: Record<string, string> = {}): string {
  const path = `#/${segments.map(encodeURIComponent).join("/")}`;
  const text = new URLSearchParams(query).toString();
  return text === "" ? path : `${path}?${text}`;
}

function read(): { text: string; segments: string[]; query: URLSearchParams } {
  const text = location.hash.replace(/^#\/?/, "");
  const [path = "", query = ""] = text.split("?", 2);
  const segments = path.split("/").filter((segment) => segment !== "");
  return { text, segments: segments.map(decode), query: new URLSearchParams(query) };
}

/** What somebody typed into the address bar may be wrongly encoded. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export const router = new Router();
