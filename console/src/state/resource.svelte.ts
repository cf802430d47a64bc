// What a page shows of the API: loaded when its path changes, and again when a part that it shows
// changed. One call at a time; what is there stays on the page until the next answer came.

import { untrack } from "svelte";
import { get, problemOf } from "../api/client";
import type { Part, Problem } from "../api/types";
import { live } from "./live.svelte";

/** The names of the lists of `T`. */
type List<T> = { [Name in keyof T]: T[Name] extends readonly unknown[] ? Name : never }[keyof T] & string;

export class Resource<T> {
  #data = $state.raw<T>();
  #problem = $state.raw<Problem>();
  #loading = $state(false);
  #path: string | undefined;
  #running: AbortController | undefined;
  #again = false;

  readonly #lists: readonly List<T>[];

  /** To be made while a component is; an absent path shows nothing. An answer has all of `lists`. */
  constructor(path: () => string | undefined, lists: readonly List<T>[], parts: Part[] = []) {
    this.#lists = lists;
    $effect(() => {
      const wanted = path();
      for (const part of parts) live.version(part);
      untrack(() => this.#want(wanted));
    });
    $effect(() => () => this.#running?.abort());
  }

  get data(): T | undefined {
    return this.#data;
  }

  get problem(): Problem | undefined {
    return this.#problem;
  }

  /** True until the first answer for this path came. */
  get isLoading(): boolean {
    return this.#loading && this.#data === undefined;
  }

  reload(): void {
    this.#want(this.#path);
  }

  #want(path: string | undefined): void {
    const isSame = path === this.#path;
    this.#path = path;
    if (!isSame) {
      this.#running?.abort();
      this.#running = undefined;
      this.#data = undefined;
      this.#problem = undefined;
      this.#loading = false;
    }
    if (path === undefined) return;
    if (this.#running) this.#again = true;
    else void this.#load(path);
  }

  async #load(path: string): Promise<void> {
    const running = new AbortController();
    this.#running = running;
    this.#again = false;
    this.#loading = true;
    try {
      const data = await get<T>(path, running.signal, this.#lists);
      if (this.#running !== running) return;
      this.#data = data;
      this.#problem = undefined;
    } catch (thrown) {
      if (this.#running !== running) return;
      this.#problem = problemOf(thrown);
    }
    this.#running = undefined;
    this.#loading = false;
    if (this.#again) void this.#load(path);
  }
}
