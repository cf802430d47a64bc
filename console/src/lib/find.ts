// Where a text that somebody typed may lead.

import { t, type Key } from "../i18n";
import { href } from "../state/router.svelte";
import { PLACES } from "./places";

export interface Found {
  link: string;
  name: string;
  kind: Key;
}

const MOST = 10;

/** Places for `text`, the likeliest first. */
export function find(text: string, services: readonly { name: string }[]): Found[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [];
  const pages = PLACES.map(({ page, title }): Found => ({
    link: href(page === "" ? [] : [page]),
    name: t(title),
    kind: "find.page",
  }));
  const named = services.map(({ name }): Found => ({
    link: href(["services", name]),
    name,
    kind: "find.service",
  }));
  const matching = [...pages, ...named]
    .filter(({ name }) => name.toLowerCase().includes(wanted))
    .toSorted((a, b) => place(a, wanted) - place(b, wanted));
  return [...byId(text.trim()), ...matching, ...anything(text.trim())].slice(0, MOST);
}

/** An id of a saga, an order or a trace leads straight to it. */
function byId(text: string): Found[] {
  if (/^[0-9a-f]{32}$/i.test(text)) return [{ link: href(["traces", text]), name: text, kind: "find.trace" }];
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return [];
  return [
    { link: href(["sagas", text]), name: text, kind: "find.saga" },
    { link: href(["traces", text]), name: text, kind: "find.trace-about" },
  ];
}

/** What may exist although nothing here knows it. */
function anything(text: string): Found[] {
  return [
    { link: href(["impact"], { subject: text }), name: text, kind: "find.impact" },
    { link: href(["sagas"], { q: text }), name: text, kind: "find.sagas" },
    { link: href(["streams"], { prefix: text }), name: text, kind: "find.streams" },
  ];
}

function place({ name }: Found, wanted: string): number {
  return name.toLowerCase().indexOf(wanted);
}
