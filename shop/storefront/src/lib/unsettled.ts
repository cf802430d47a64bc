/**
 * The order that was sent and whose answer is not known yet. It outlives a reload of its tab: sent again
 * for the same things, the same address and the same person, it has the same key and is placed once.
 */

import { newKey, Refusal } from "./http";
import { has, recall, remember } from "./memory";
import { place } from "./shop";
import type { Order, Wish } from "./types";

const KEY = "unsettled";
/** How many ways to pay for it are kept: one each time that somebody enters another card. */
const MOST_WAYS = 8;
/** Refusals after which the order may be placed all the same, or may be yet. */
const UNSURE: readonly number[] = [0, 401, 408, 409, 425, 429];

interface Unsettled {
  user: string;
  /** What is ordered and where it goes, as text. */
  about: string;
  key: string;
  /** The tokens of the cards it was sent with; without a card, an empty one. */
  ways: string[];
}

/** Places what `user` wishes, and once, if the answer to an earlier try got lost. */
export async function placeOnce(user: string, wish: Wish): Promise<Order> {
  const tried = begin(user, wish);
  try {
    const order = await place(wish, tried.key);
    settle();
    return order;
  } catch (error) {
    if (error instanceof Refusal && error.code === "idempotency-key-reused") {
      return await answered(tried, wish);
    }
    if (error instanceof Refusal && error.status < 500 && !UNSURE.includes(error.status)) settle();
    throw error;
  }
}

/** Forgets the order: it is known what became of it, or somebody else comes. */
export function settle(): void {
  remember("session", KEY, null);
}

/** Keeps what is about to be sent, before it is. */
function begin(user: string, wish: Wish): Unsettled {
  const { cardToken = "", ...rest } = wish;
  const about = JSON.stringify(rest);
  const kept = recall("session", KEY, isUnsettled);
  const isSame = kept?.user === user && kept.about === about;
  const tried = isSame ? kept : { user, about, key: newKey(), ways: [] };
  if (!tried.ways.includes(cardToken)) tried.ways = [...tried.ways, cardToken].slice(-MOST_WAYS);
  remember("session", KEY, tried);
  return tried;
}

/** An earlier try arrived, paid in another way: that order stands, and is asked for as it was sent. */
async function answered(tried: Unsettled, { items, address }: Wish): Promise<Order> {
  let refused: unknown;
  for (const cardToken of tried.ways) {
    const wish: Wish = { items };
    if (address !== undefined) wish.address = address;
    if (cardToken !== "") wish.cardToken = cardToken;
    try {
      const order = await place(wish, tried.key);
      settle();
      return order;
    } catch (error) {
      if (!(error instanceof Refusal && error.code === "idempotency-key-reused")) throw error;
      refused = error;
    }
  }
  throw refused;
}

function isUnsettled(value: unknown): value is Unsettled {
  if (!has(value, { user: "string", about: "string", key: "string" })) return false;
  const { ways } = value as Unsettled;
  return Array.isArray(ways) && ways.every((way) => typeof way === "string");
}
