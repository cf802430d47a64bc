// All texts, in two languages with the same keys: the compiler and a test see to it.

import en from "./en.json";
import ko from "./ko.json";

export const LANGUAGES = ["en", "ko"] as const;

export type Language = (typeof LANGUAGES)[number];

export type Key = keyof typeof en;

export const dictionaries: Record<Language, Record<Key, string>> = { en, ko };
