// The pages of errors (`docs/errors`): a little Markdown, shown without ever becoming HTML.

export interface ProsePiece {
  kind: "text" | "code" | "bold";
  content: string;
}

/** Splits a paragraph at its marks. */
export function pieces(text: string): ProsePiece[] {
  const plain = text.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1");
  const parts = plain.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter((part) => part !== "");
  return parts.map((part): ProsePiece => {
    if (part.startsWith("`")) return { kind: "code", content: part.slice(1, -1) };
    if (part.startsWith("**")) return { kind: "bold", content: part.slice(2, -2) };
    return { kind: "text", content: part };
  });
}

/** The paragraphs of a page, its heading first, without comments. */
export function paragraphs(page: string): string[] {
  const parts = page.replaceAll(/<!--.*?-->/gs, "").split(/\n{2,}/);
  return parts.map((part) => part.replace(/^#+ /, "").trim()).filter((part) => part !== "");
}

/** What a page advises: its second bold lead, in whatever language it is written. */
export function whatToDo(page: string): string | undefined {
  const leads = paragraphs(page).filter((paragraph) => paragraph.startsWith("**"));
  return leads[1]?.replace(/^\*\*[^*]+\*\*\s*/, "");
}
