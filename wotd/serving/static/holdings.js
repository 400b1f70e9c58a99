// What the server holds: levels with the names of their codes, and whether there are texts, works, an encoder.

import { ask } from "./server.js";

let known = null;

/** Asked once. `names` says what the codes of an ID mean, level by level. */
export async function holdings() {
  if (known === null) {
    const [{ texts: hasEncoder }, held] = await Promise.all([ask("ping"), ask("levels")]);
    known = {
      levels: held.levels,
      described: held.levels.map((level, place) => ({ ...level, place })).filter((level) => level.described),
      named: held.levels.some((level) => level.described),
      hasEncoder,
      hasTexts: held.texts,
      hasWorks: held.works > 0,
      passages: held.passages,
    };
  }
  return known;
}

/** Names of the codes of an ID, a prefix or a pattern; any is left out, a suffix is its number. */
export function namesOf({ levels }, pattern) {
  return (pattern ? pattern.split("-") : [])
    .map((index, level) => (index === "*" ? null : levels[level]?.codes[index] ?? index))
    .filter((name) => name !== null);
}

/** The same without levels that only tell texts of one kind apart; where nothing else is said, all of them. */
export function kindOf({ levels }, id) {
  const parts = id.split("-");
  const kinds = parts.flatMap((index, level) => (levels[level]?.described ? [levels[level].codes[index] ?? index] : []));
  return kinds.join(", ");
}
