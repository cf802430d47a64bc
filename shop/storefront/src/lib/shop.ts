/** The shop's services, one function for each thing that the page wants of them. */

import { ask, Refusal } from "./http";
import { session } from "./session.svelte";
import type {
  Card,
  Notification,
  Order,
  Payment,
  Product,
  Progress,
  Session,
  Shelf,
  Shipment,
  User,
  Wish,
} from "./types";

/** How many products or orders are shown before one asks for more. */
export const PAGE = 24;

export function search(q: string, after: string | null, signal: AbortSignal): Promise<Product[]> {
  const query = new URLSearchParams({ limit: String(PAGE) });
  if (q !== "") query.set("q", q);
  if (after !== null) query.set("after", after);
  return ask(`/products?${query}`, { signal });
}

export function product(id: string): Promise<Product> {
  return ask(`/products/${encodeURIComponent(id)}`);
}

/** The free pieces; `null` while the inventory has not heard of the product. */
export async function stock(id: string): Promise<number | null> {
  try {
    return (await ask<Shelf>(`/inventory/${encodeURIComponent(id)}`)).stock;
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return null;
    throw error;
  }
}

const names = new Map<string, Promise<Product | null>>();

/** A product by its id, asked for once; `null` if it is not sold any more. */
export function known(id: string): Promise<Product | null> {
  let found = names.get(id);
  if (found === undefined) {
    found = product(id).catch(() => null);
    names.set(id, found);
  }
  return found;
}

export async function signIn(email: string, password: string): Promise<void> {
  const opened = await ask<Session>("/sessions", { method: "POST", body: { email, password } });
  // Whoever is half signed in is not signed in.
  session.begin(opened, await ask<User>("/users/me", { token: opened.token }));
}

export async function signUp(email: string, name: string, password: string): Promise<void> {
  await ask<User>("/users", { method: "POST", body: { email, name, password } });
  await signIn(email, password);
}

/** Swaps a card for a token; an order never carries the number. */
export async function keepCard(card: Card): Promise<string> {
  const kept = await ask<{ cardToken: string }>("/payments/cards", { method: "POST", body: card });
  return kept.cardToken;
}

export function place(wish: Wish, key: string): Promise<Order> {
  return ask("/orders", { method: "POST", body: wish, key });
}

export function orders(after: string | null): Promise<Order[]> {
  const query = new URLSearchParams({ limit: String(PAGE) });
  if (after !== null) query.set("after", after);
  return ask(`/orders?${query}`);
}

export function order(id: string): Promise<Order> {
  return ask(`/orders/${encodeURIComponent(id)}`);
}

export function progress(id: string, signal: AbortSignal): Promise<Progress> {
  return ask(`/orders/${encodeURIComponent(id)}/progress`, { signal });
}

export function payments(orderId: string): Promise<Payment[]> {
  return ask(`/payments?${new URLSearchParams({ orderId })}`);
}

export function shipments(orderId: string): Promise<Shipment[]> {
  return ask(`/shipments?${new URLSearchParams({ orderId })}`);
}

export function notifications(): Promise<Notification[]> {
  return ask("/notifications?limit=50");
}
