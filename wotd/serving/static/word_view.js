// A word: the passages that contain it, grouped by ID, and their works.

import { $, announce, counted, element } from "./elements.js";
import { holdings, kindOf } from "./holdings.js";
import { linkToID, passageItem, workItem } from "./lists.js";
import { levelsOf } from "./pattern.js";
import { makePickers } from "./pickers.js";
import { hashOfWord } from "./route.js";
import { address, ask } from "./server.js";
import { attempt } from "./problem.js";

const GROUPS = 8;
const MORE_GROUPS = 40;
const EXAMPLES = 3;
const EXAMPLES_OF_ONE = 20;
const WORKS = 8;

let pickers;
let latest = 0;

export function startWordView(held) {
  if (!held.hasTexts) return;
  pickers = makePickers($("word-pickers"), held, "word", () => {
    if ($("word").value.trim()) go();
  });
  $("word-pickers").hidden = !held.named;
  $("word-form").addEventListener("submit", (event) => {
    event.preventDefault();
    go();
  });
}

function go() {
  location.hash = hashOfWord($("word").value.trim(), pickers.pattern);
}

export async function showWord({ word, pattern }) {
  latest += 1;
  const turn = latest;
  const held = await holdings();
  pickers.pattern = pattern;
  $("word").value = word || $("word").value;
  if (!word) {
    $("word-works").replaceChildren();
    $("word-groups").replaceChildren();
    return;
  }
  announce("Searching…");
  const found = await search(held, word, pattern, GROUPS);
  if (turn === latest) showFound(held, found, word, pattern);
}

const isWhole = (held, pattern) => levelsOf(pattern).filter((index) => index !== null).length >= held.levels.length;

const search = (held, word, pattern, limit) => ask(address(`words/${encodeURIComponent(word)}`, {
  id: pattern,
  limit,
  examples: isWhole(held, pattern) ? EXAMPLES_OF_ONE : EXAMPLES,
}));

function showFound(held, found, word, pattern) {
  const inside = $("word-groups").contains(document.activeElement) || $("word-works").contains(document.activeElement);
  const sentence = found.total
    ? `“${found.word}” is in ${found.total.toLocaleString("en")} of ${counted(found.searched, "passage")}, ` +
      `under ${counted(found.ids, "ID")}.`
    : `“${found.word}” is in none of ${counted(found.searched, "passage")}.`;
  const heading = element("h3", { tabIndex: -1, className: "kind", textContent: sentence });
  const groups = element("div", {}, ...found.groups.map((each) => group(held, each, word)));
  const parts = [heading, groups];
  if (found.groups.length < found.ids) parts.push(moreButton(held, groups, found, word, pattern));
  $("word-groups").replaceChildren(...parts);
  $("word-works").replaceChildren(...(found.works.length ? [
    element("h3", { textContent: "Works with most of them" }),
    element("ul", { className: "works" }, ...found.works.slice(0, WORKS).map((work) =>
      workItem(held, work, counted(work.passages, "passage")))),
  ] : []));
  if (inside) heading.focus();
  announce(sentence);
}

function group(held, { id, passages, examples }, word) {
  const kind = kindOf(held, id);
  const all = passages > examples.length
    ? element("a", { href: hashOfWord(word, id), textContent: `All ${passages} passages of ${id}` }) : null;
  return element("section", { className: "group", "aria-label": `${kind} ${id}: ${counted(passages, "passage")}` },
    element("h4", {}, kind && `${kind} `, linkToID(id),
      element("small", { textContent: ` ${counted(passages, "passage")}` })),
    element("ul", { className: "passages" }, ...examples.map((each) => passageItem({ levels: [] }, each))),
    all && element("p", {}, all));
}

function moreButton(held, groups, found, word, pattern) {
  const more = element("button", { type: "button", className: "plain", textContent: "Show more IDs" });
  more.addEventListener("click", () => attempt(async () => {
    const before = groups.children.length;
    const again = await search(held, word, pattern, before + MORE_GROUPS);
    groups.append(...again.groups.slice(before).map((each) => group(held, each, word)));
    announce(`${counted(groups.children.length - before, "ID")} more`);
    if (groups.children.length >= again.ids || groups.children.length === before) {
      groups.children[before]?.querySelector("a")?.focus();
      more.hidden = true;
    }
  }));
  return more;
}
