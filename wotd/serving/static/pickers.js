// Choosing codes by name, a select for each level that describes a text.

import { element, spaced } from "./elements.js";
import { levelsOf, withLevel } from "./pattern.js";

/**
 * Selects for a pattern of IDs.
 * @param {Element} place where they go
 * @param {object} held what the server holds
 * @param {string} name tells the selects of one place from those of another
 * @param {(pattern: string) => void} changed called with the pattern that the user has chosen
 */
export function makePickers(place, held, name, changed) {
  let current = "";
  const selects = held.levels.map((level, depth) => {
    const select = element("select", { id: `${name}-${depth}` },
      element("option", { value: "", textContent: "any" }),
      ...(held.named ? level.codes : []).map((code, index) =>
        element("option", { value: String(index), textContent: code })));
    select.addEventListener("change", () => {
      current = withLevel(current, depth, select.value === "" ? null : Number(select.value));
      changed(current);
    });
    const field = element("div", { className: "field" },
      element("label", { for: select.id, textContent: spaced(level.level) }), select);
    return { select, field, described: level.described };
  });
  place.replaceChildren(...selects.map(({ field }) => field));
  return {
    get pattern() {
      return current;
    },
    /** Shows a pattern; a level that only tells texts apart is shown where the pattern speaks of it. */
    set pattern(pattern) {
      current = pattern;
      const levels = levelsOf(pattern);
      selects.forEach(({ select, field, described }, depth) => {
        const index = levels[depth] ?? null;
        select.value = index === null ? "" : String(index);
        field.hidden = !described && index === null;
      });
    },
  };
}
