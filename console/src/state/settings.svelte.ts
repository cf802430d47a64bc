// What a person chose for this browser: language, colours and keys. Without a choice the system decides.

import { recall, remember } from "../lib/storage";
import { LANGUAGES, type Language } from "../i18n/dictionaries";

export type Theme = "auto" | "light" | "dark";

const THEMES: readonly Theme[] = ["auto", "light", "dark"];

class Settings {
  #language = $state<Language>(initialLanguage());
  #theme = $state<Theme>(pick(recall("local", "ieum.theme"), THEMES) ?? "auto");

  #hasShortcuts = $state(recall("local", "ieum.shortcuts") !== "off");

  constructor() {
    this.#apply();
  }

  get language(): Language {
    return this.#language;
  }

  get theme(): Theme {
    return this.#theme;
  }

  /** Whether single keys do something on every page. */
  get hasShortcuts(): boolean {
    return this.#hasShortcuts;
  }

  set hasShortcuts(are: boolean) {
    this.#hasShortcuts = are;
    remember("local", "ieum.shortcuts", are ? undefined : "off");
  }

  nextLanguage(): void {
    this.#language = this.#language === "en" ? "ko" : "en";
    remember("local", "ieum.language", this.#language);
    this.#apply();
  }

  nextTheme(): void {
    this.#theme = THEMES[(THEMES.indexOf(this.#theme) + 1) % THEMES.length] ?? "auto";
    remember("local", "ieum.theme", this.#theme);
    this.#apply();
  }

  #apply(): void {
    const root = document.documentElement;
    root.lang = this.#language;
    root.dataset["theme"] = this.#theme;
  }
}

function initialLanguage(): Language {
  const chosen = pick(recall("local", "ieum.language"), LANGUAGES);
  const spoken = navigator.languages.map((tag) => pick(tag.slice(0, 2), LANGUAGES));
  return chosen ?? spoken.find((language) => language !== undefined) ?? "en";
}

function pick<T extends string>(text: string | undefined, options: readonly T[]): T | undefined {
  return options.find((option) => option === text);
}

export const settings = new Settings();
