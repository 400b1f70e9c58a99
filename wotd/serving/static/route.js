// Addresses of views, all behind "#/", so that links, bookmarks and the back button work.

const PATTERN = /^(\d+|\*)(-(\d+|\*))*$/;

/** What an address asks for; null for none. */
export function parseHash(hash) {
  if (!hash.startsWith("#/")) return null;
  const parts = hash.slice(2).split("/").map(decoded);
  const [first, second = "", third = ""] = parts;
  if (first === "text") return { view: "text" };
  if (first === "word") return { view: "word", word: second, pattern: third };
  if (first === "work") return { view: "work", corpus: parts.slice(1).join("/") };
  return { view: "explore", pattern: first };
}

export const hashOfID = (pattern = "") => `#/${pattern}`;
export const hashOfWork = (corpus) => `#/work/${encodeURIComponent(corpus)}`;
export const hashOfWord = (word, pattern = "") =>
  `#/word/${encodeURIComponent(word)}${pattern ? `/${pattern}` : ""}`;
export const isPattern = (text) => text === "" || PATTERN.test(text);

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a lone percent sign, typed by hand
  }
}
