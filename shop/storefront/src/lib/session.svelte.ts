/** Who is signed in. The token is this tab's alone, and forgotten with it. */

import { has, recall, remember } from "./memory";
import type { Session, User } from "./types";

const KEY = "session";

interface Known {
  token: string;
  expiresAt: string;
  user: User;
}

class Visitor {
  #known = $state<Known | null>(read());

  get token(): string | null {
    return this.#known?.token ?? null;
  }

  get user(): User | null {
    return this.#known?.user ?? null;
  }

  begin(session: Session, user: User): void {
    this.#known = { ...session, user };
    remember("session", KEY, this.#known);
  }

  end(): void {
    this.#known = null;
    remember("session", KEY, null);
  }
}

function read(): Known | null {
  const known = recall("session", KEY, isKnown);
  return known !== null && Date.parse(known.expiresAt) > Date.now() ? known : null;
}

function isKnown(value: unknown): value is Known {
  const isSession = has(value, { token: "string", expiresAt: "string" });
  return isSession && has((value as Known).user, { id: "string", name: "string" });
}

export const session = new Visitor();
