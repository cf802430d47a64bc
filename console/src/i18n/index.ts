// Texts in the language of the user. Reading one in a template follows a change of the language.

import { settings } from "../state/settings.svelte";
import { dictionaries, type Key } from "./dictionaries";

export type { Key };

/** The text of `key`, with `values` in the places of `{name}`. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const text = dictionaries[settings.language][key];
  return text.replaceAll(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place));
}

/** A text whose values are names that somebody else gave. */
export interface Phrase {
  key: Key;
  values?: Record<string, string | number>;
}

/** The pieces of a phrase, in their order. */
export function parts({ key, values = {} }: Phrase): { text: string; isValue: boolean }[] {
  const pieces = dictionaries[settings.language][key].split(/\{(\w+)\}/);
  return pieces.map((piece, index) => {
    const isValue = index % 2 === 1;
    return { text: isValue ? String(values[piece] ?? piece) : piece, isValue };
  });
}

/** The text of a key that is made of a name from the API; the name itself if there is no text. */
export function named(prefix: string, name: string): string {
  const dictionary: Record<string, string> = dictionaries[settings.language];
  return dictionary[`${prefix}.${name}`] ?? name;
}
