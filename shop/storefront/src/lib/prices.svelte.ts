/** What the things in the basket cost today. They were put in at the price of their day. */

import { basket } from "./basket.svelte";
import { Refusal } from "./http";
import { product } from "./shop";
import type { Product } from "./types";

/** How many products are asked for at once. */
const AT_ONCE = 5;

export class Prices {
  /** What those cost before whose price changed, by their ids. */
  before = $state.raw<ReadonlyMap<string, Product>>(new Map());
  /** The ids of those that are not sold any more. */
  gone = $state.raw<ReadonlySet<string>>(new Set());
  /** Whether the basket shows today's prices. */
  areKnown = $state(false);

  /** Asks for all of them. True if each costs what the buyer saw, and is sold. */
  async refresh(): Promise<boolean> {
    const seen = basket.lines.map((line) => line.product);
    const [before, gone] = [new Map(this.before), new Set<string>()];
    let isSame = true;
    for (let first = 0; first < seen.length; first += AT_ONCE) {
      const some = seen.slice(first, first + AT_ONCE);
      const today = await Promise.all(some.map(({ id }) => soldToday(id)));
      for (const [index, old] of some.entries()) {
        const now = today[index] ?? null;
        if (now === null) gone.add(old.id);
        else if (now.price !== old.price || now.currency !== old.currency) before.set(old.id, old);
        else continue;
        isSame = false;
        if (now !== null) basket.update(now);
      }
    }
    this.before = before;
    this.gone = gone;
    this.areKnown = true;
    return isSame;
  }
}

/** `null` if it is not sold any more. */
async function soldToday(id: string): Promise<Product | null> {
  try {
    return await product(id);
  } catch (error) {
    if (error instanceof Refusal && error.code === "not-found") return null;
    throw error;
  }
}
