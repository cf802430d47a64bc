// The pages that the navigation leads to, and the letter behind `g` that does the same.

import type { Key } from "../i18n";
import type { IconName } from "../ui/Icon.svelte";

export interface Place {
  page: string;
  icon: IconName;
  title: Key;
  letter: string;
}

export const PLACES: readonly Place[] = [
  { page: "", icon: "overview", title: "nav.overview", letter: "o" },
  { page: "services", icon: "services", title: "nav.services", letter: "s" },
  { page: "routes", icon: "routes", title: "nav.routes", letter: "r" },
  { page: "breakers", icon: "breakers", title: "nav.breakers", letter: "b" },
  { page: "sagas", icon: "sagas", title: "nav.sagas", letter: "a" },
  { page: "topics", icon: "topics", title: "nav.topics", letter: "t" },
  { page: "dead-letters", icon: "dead-letters", title: "nav.dead-letters", letter: "d" },
  { page: "streams", icon: "streams", title: "nav.streams", letter: "e" },
  { page: "traces", icon: "traces", title: "nav.traces", letter: "c" },
  { page: "impact", icon: "impact", title: "nav.impact", letter: "i" },
  { page: "platforms", icon: "platforms", title: "nav.platforms", letter: "p" },
];
