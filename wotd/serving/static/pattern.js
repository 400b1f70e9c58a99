// Patterns of IDs, such as 5-*-6: an index per level, or any. A prefix is a pattern.

/** Its levels: a number, or null for any. */
export const levelsOf = (pattern) =>
  pattern ? pattern.split("-").map((part) => (part === "*" ? null : Number(part))) : [];

/** The text of levels; any at the end is left out. */
export function patternOf(levels) {
  const last = levels.findLastIndex((index) => index !== null);
  return levels.slice(0, last + 1).map((index) => index ?? "*").join("-");
}

/** The pattern with one level set to a number, or to null for any. */
export function withLevel(pattern, level, index) {
  const levels = levelsOf(pattern);
  while (levels.length <= level) levels.push(null);
  levels[level] = index;
  return patternOf(levels);
}

/** The longest prefix that all its IDs share. */
export function prefixOf(pattern) {
  const levels = levelsOf(pattern);
  const any = levels.indexOf(null);
  return patternOf(any < 0 ? levels : levels.slice(0, any));
}

/** Whether IDs with this prefix can match the pattern. */
export function agrees(prefix, pattern) {
  const wanted = levelsOf(pattern);
  return levelsOf(prefix).every((index, level) => wanted[level] === undefined || wanted[level] === null ||
    wanted[level] === index);
}

export const parentOf = (prefix) => prefix.split("-").slice(0, -1).join("-");
