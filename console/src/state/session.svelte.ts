// The token of this tab. It is kept where only this tab finds it, and only until the tab is closed.

import { recall, remember } from "../lib/storage";

const KEY = "ieum.token";

class Session {
  #token = $state(recall("session", KEY));
  #refused = $state(false);

  get token(): string | undefined {
    return this.#token;
  }

  /** True once the platform asked for a token, or for another one. */
  get isRefused(): boolean {
    return this.#refused;
  }

  /** The platform does not take the token, or wants one. */
  refuse(): void {
    this.#refused = true;
  }

  signIn(token: string): void {
    remember("session", KEY, token);
    this.#token = token;
    this.#refused = false;
  }

  signOut(): void {
    remember("session", KEY, undefined);
    this.#token = undefined;
    this.#refused = true;
  }
}

export const session = new Session();
