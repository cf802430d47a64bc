/** What the shop's services say, as far as the storefront reads it. */

export interface Product {
  id: string;
  name: string;
  /** Minor units of the currency. */
  price: number;
  currency: string;
}

export interface Shelf {
  /** The pieces that are free. */
  stock: number;
}

export interface User {
  id: string;
  email: string;
  name: string;
}

export interface Session {
  token: string;
  expiresAt: string;
}

export interface Line {
  productId: string;
  quantity: number;
  price: number;
}

export type Status = "pending" | "confirmed" | "completed" | "cancelled";

export interface Order {
  id: string;
  items: Line[];
  total: number;
  currency: string;
  status: Status;
  reason?: string;
  createdAt: string;
}

/** What became of an order. An older page passes over those that it does not know. */
export interface Reached {
  step: string;
  at: string;
}

export interface Progress {
  id: string;
  status: Status;
  reason?: string;
  steps: Reached[];
  isOver: boolean;
}

export interface Payment {
  id: string;
  amount: number;
  currency: string;
  status: "completed" | "declined" | "refunded";
  last4?: string;
  declineCode?: string;
  createdAt: string;
}

export interface Shipment {
  id: string;
  status: "created" | "cancelled";
  createdAt: string;
}

export interface Notification {
  id: string;
  kind: string;
  message: string;
  orderId?: string;
  createdAt: string;
}

export interface Address {
  line: string;
  city: string;
  postalCode: string;
  country: string;
}

export interface Card {
  number: string;
  expMonth: number;
  expYear: number;
  cvc: string;
}

/** What is ordered. */
export interface Wish {
  items: { productId: string; quantity: number }[];
  cardToken?: string;
  address?: Address;
}
