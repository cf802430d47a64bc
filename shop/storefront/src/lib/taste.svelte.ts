/** How one likes the shop: its language, and light or dark. */

import { en } from "../texts/en";
import { ko, type Texts } from "../texts/ko";
import { recall, remember } from "./memory";

export type Language = "ko" | "en";
export type Theme = "light" | "dark";

const TEXTS: Record<Language, Texts> = { ko, en };
const LOCALES: Record<Language, string> = { ko: "ko-KR", en: "en-GB" };

class Taste {
  #language = $state<Language>(recall("local", "language", isLanguage) ?? preferred());
  #theme = $state<Theme>(recall("local", "theme", isTheme) ?? system());

  constructor() {
    this.#show();
  }

  get language(): Language {
    return this.#language;
  }

  get locale(): string {
    return LOCALES[this.#language];
  }

  get texts(): Texts {
    return TEXTS[this.#language];
  }

  get theme(): Theme {
    return this.#theme;
  }

  otherLanguage(): void {
    this.#language = this.#language === "ko" ? "en" : "ko";
    remember("local", "language", this.#language);
    this.#show();
  }

  otherTheme(): void {
    this.#theme = this.#theme === "light" ? "dark" : "light";
    remember("local", "theme", this.#theme);
    this.#show();
  }

  #show(): void {
    document.documentElement.lang = this.#language;
    document.documentElement.dataset["theme"] = this.#theme;
  }
}

function isLanguage(value: unknown): value is Language {
  return value === "ko" || value === "en";
}

function isTheme(value: unknown): value is Theme {
  return value === "light" || value === "dark";
}

function preferred(): Language {
  return navigator.languages.some((language) => language.startsWith("ko")) ? "ko" : "en";
}

function system(): Theme {
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export const taste = new Taste();
