// What an ID means, as a plain sentence from names and confidences alone.

const LIKELY = 0.7;
const PERHAPS = 0.4;

/**
 * @param {{level: string, name: string, confidence: number}[]} described levels whose codes have names
 * @returns {string} a sentence as sure as the model is; empty where no level has names
 */
export function meaning(described) {
  const said = ({ level, name }) => `${name} in ${level.replaceAll("_", " ")}`;
  const from = (least, below) => described.filter(({ confidence: sure }) => sure >= least && sure < below).map(said);
  const likely = from(LIKELY, Infinity);
  const perhaps = from(PERHAPS, LIKELY);
  const guesses = from(-Infinity, PERHAPS);
  const parts = [];
  if (likely.length) parts.push(`most likely ${listed(likely)}`);
  if (perhaps.length) parts.push(`perhaps ${listed(perhaps)}`);
  if (guesses.length) {
    parts.push(`${listed(guesses)} ${guesses.length === 1 ? "is little more than a guess" : "are little more than guesses"}`);
  }
  const sentence = parts.join("; ");
  return sentence && `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`;
}

/** Words in a row: a, b and c. */
export function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** What was measured on the text itself. */
export function measured({ level, fact, value, name }) {
  return `Measured on these very words: ${fact.replaceAll("_", " ")} ${value}, which is ${name} in ${level.replaceAll("_", " ")}.`;
}
