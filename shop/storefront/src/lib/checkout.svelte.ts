/** How one means to receive and to pay, and the order that comes of it. */

import { basket } from "./basket.svelte";
import { keepCard } from "./shop";
import type { Address, Card, Order, User, Wish } from "./types";
import { placeOnce, settle } from "./unsettled";

export type Delivery = "pickup" | "ship";
export type Means = "account" | "card";

class Checkout {
  delivery = $state<Delivery>("pickup");
  means = $state<Means>("account");
  line = $state("");
  city = $state("");
  postalCode = $state("");
  number = $state("");
  expiry = $state("");
  cvc = $state("");
  /** What the card that was entered last was swapped for. */
  #kept: { card: string; token: string } | null = null;

  /** Places the order of `user`. Tried again unchanged, it is the same order. */
  async order(user: User): Promise<Order> {
    const items = basket.lines.map(({ product, quantity }) => ({
      productId: product.id,
      quantity,
    }));
    const wish: Wish = { items };
    if (this.delivery === "ship") wish.address = this.#address();
    if (this.means === "card") wish.cardToken = await this.#token();
    const order = await placeOnce(user.id, wish);
    basket.clear();
    this.#forgetCard();
    return order;
  }

  /** Forgets where one lives and how one pays: the next at this tab may be somebody else. */
  forget(): void {
    this.#forgetCard();
    settle();
    this.line = "";
    this.city = "";
    this.postalCode = "";
  }

  #address(): Address {
    const [line, city, postalCode] = [this.line.trim(), this.city.trim(), this.postalCode.trim()];
    return { line, city, postalCode, country: "KR" };
  }

  #card(): Card {
    const [month = "", year = ""] = this.expiry.split("/");
    const [expMonth, expYear] = [Number(month) || 0, Number(year) || 0];
    return { number: this.number.trim(), expMonth, expYear, cvc: this.cvc.trim() };
  }

  /** The same card has the same token, so that a second try is the same order. */
  async #token(): Promise<string> {
    const card = this.#card();
    const text = JSON.stringify(card);
    if (this.#kept?.card !== text) this.#kept = { card: text, token: await keepCard(card) };
    return this.#kept.token;
  }

  #forgetCard(): void {
    this.#kept = null;
    this.number = "";
    this.expiry = "";
    this.cvc = "";
  }
}

export const checkout = new Checkout();
