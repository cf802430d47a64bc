// Server-sent events over `fetch`, which can send a token where `EventSource` cannot.

export interface ServerEvent {
  name: string;
  data: string;
}

/** What a piece of a stream of server-sent events is. */
export type Piece = { event: ServerEvent } | { retry: number };

/** Takes text as it comes and answers what became complete. */
export class EventReader {
  #rest = "";
  #name = "";
  #data: string[] = [];

  push(text: string): Piece[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() ?? "";
    const pieces: Piece[] = [];
    for (const line of lines) {
      const piece = this.#line(line);
      if (piece) pieces.push(piece);
    }
    return pieces;
  }

  #line(line: string): Piece | undefined {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#name = value;
    if (field === "data") this.#data.push(value);
    if (field === "retry" && /^\d+$/.test(value)) return { retry: Number(value) };
    return undefined;
  }

  #dispatch(): Piece | undefined {
    const event = { name: this.#name || "message", data: this.#data.join("\n") };
    const has = this.#data.length > 0;
    this.#name = "";
    this.#data = [];
    return has ? { event } : undefined;
  }
}
