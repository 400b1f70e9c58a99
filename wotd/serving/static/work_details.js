// All that is known of one work: its ID beside what the rules say of it, its facts, its passages.

import { element, percent, spaced } from "./elements.js";
import { linkToID, passageList } from "./lists.js";
import { address, ask } from "./server.js";

const PASSAGES = 6;
const SHORT = 160;
const SHOWN_ABOVE = ["title", "authors"];

/** The parts to show of a work as the server describes it. */
export async function workDetails(held, work) {
  const query = { work: work.corpus };
  const passages = await ask(address("passages", { ...query, limit: PASSAGES }));
  const id = work.id ?? work.code.join("-");
  return [
    element("h3", { tabIndex: -1, className: "kind" }, work.title || work.corpus, " ", linkToID(id)),
    element("p", { className: "author", textContent: work.author ?? "author unknown" }),
    ...levelTable(held, work),
    ...factList(work.facts ?? {}),
    element("h4", { textContent: "Passages" }),
    ...passageList(held, query, passages, { showWork: false }),
  ];
}

function levelTable(held, { names, agreement = [], label_names: labels, origins = [] }) {
  if (!names.length) return [];
  const labelled = held.named && labels.length > 0;
  const heads = ["Level", "Its passages say", ...(labelled ? ["Its facts say"] : [])];
  const rows = held.levels.slice(0, names.length).map(({ level }, depth) => {
    const share = agreement[depth];
    const fact = labels[depth] ?? null;
    return element("tr", {},
      element("th", { scope: "row", textContent: spaced(level) }),
      element("td", {}, names[depth], share === undefined ? "" : element("small", { textContent: ` ${percent(share)}` })),
      labelled ? element("td", {}, fact ?? "unknown",
        fact && origins[depth] !== "stated" ? element("small", { textContent: ` ${origins[depth]}` }) : "") : null);
  });
  return [element("table", {},
    element("caption", { className: "unseen", textContent: "Levels of the work's ID; the share of passages up to that level" }),
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col", textContent: head })))),
    element("tbody", {}, ...rows)),
  element("p", { className: "hint", textContent: "The share is of the work's passages that bear the code up to that level." })];
}

function shown(value) {
  if (Array.isArray(value)) return value.join("; ");
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(1) : String(value);
}

function factList(facts) {
  const entries = Object.entries(facts)
    .filter(([name]) => !SHOWN_ABOVE.includes(name))
    .map(([name, { value, origin }]) => [spaced(name), shown(value), origin]);
  if (!entries.length) return [];
  const terms = entries.flatMap(([name, value, origin]) => [
    element("dt", { textContent: name }),
    element("dd", {}, value, origin === "stated" ? "" : element("small", { textContent: ` ${origin}` }),
    ),
  ]);
  const brief = entries.every(([, value]) => value.length <= SHORT);
  return [element("details", { className: "facts", open: brief },
    element("summary", { textContent: "Facts" }), element("dl", {}, ...terms))];
}
