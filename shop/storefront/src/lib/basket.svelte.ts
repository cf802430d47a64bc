/** What one means to order. It outlives the tab, and holds no more than an order may. */

import { has, onKept, recall, remember } from "./memory";
import type { Product } from "./types";

/** The most lines of an order and pieces of a line, by the rules of the service orders. */
const MOST_LINES = 50;
export const MOST_PIECES = 1_000;
const KEY = "basket";

export interface Chosen {
  product: Product;
  quantity: number;
}

class Basket {
  #lines = $state<Chosen[]>(kept());

  constructor() {
    // What was ordered in one tab must not wait to be ordered again in another.
    onKept(KEY, () => (this.#lines = kept()));
  }

  get lines(): readonly Chosen[] {
    return this.#lines;
  }

  get count(): number {
    return this.#lines.reduce((sum, line) => sum + line.quantity, 0);
  }

  get total(): number {
    return this.#lines.reduce((sum, line) => sum + line.quantity * line.product.price, 0);
  }

  /** Adds pieces of a product. False if there is no room for another line. */
  add(product: Product, quantity: number): boolean {
    const line = this.#lines.find((line) => line.product.id === product.id);
    if (line === undefined && this.#lines.length >= MOST_LINES) return false;
    if (line === undefined) this.#lines.push({ product, quantity });
    else line.quantity = Math.min(line.quantity + quantity, MOST_PIECES);
    this.#keep();
    return true;
  }

  set(id: string, quantity: number): void {
    const line = this.#lines.find((line) => line.product.id === id);
    if (line !== undefined) line.quantity = quantity;
    this.#keep();
  }

  /** Takes a product as it is today in the place of what it was when it was put in. */
  update(product: Product): void {
    const line = this.#lines.find((line) => line.product.id === product.id);
    if (line !== undefined) line.product = product;
    this.#keep();
  }

  remove(id: string): void {
    this.#lines = this.#lines.filter((line) => line.product.id !== id);
    this.#keep();
  }

  clear(): void {
    this.#lines = [];
    this.#keep();
  }

  #keep(): void {
    remember("local", KEY, this.#lines);
  }
}

function kept(): Chosen[] {
  return recall("local", KEY, areChosen) ?? [];
}

function areChosen(value: unknown): value is Chosen[] {
  const isChosen = (line: unknown): boolean =>
    has(line, { quantity: "number" }) &&
    has((line as Chosen).product, {
      id: "string",
      name: "string",
      price: "number",
      currency: "string",
    });
  return Array.isArray(value) && value.length <= MOST_LINES && value.every(isChosen);
}

export const basket = new Basket();
