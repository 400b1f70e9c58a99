// A text: its ID with what it means and how sure that is, the nearest passages and their works.

import { $, announce, counted, element, percent, spaced } from "./elements.js";
import { holdings } from "./holdings.js";
import { passageItem, workItem } from "./lists.js";
import { attempt, showProblem } from "./problem.js";
import { hashOfID } from "./route.js";
import { meaning, measured } from "./sentence.js";
import { ask } from "./server.js";

const NEIGHBOURS = 50;
const SHOWN = 5;
const WORKS = 8;

let busy = false;
let neighbours = [];

export function startTextView() {
  $("text-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!busy) read($("text").value);
  });
  $("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("text-form").requestSubmit();
  });
  $("near-more").addEventListener("click", async () => {
    const list = $("near-passages");
    const first = list.children.length;
    await showPassages(neighbours.length);
    list.children[first]?.querySelector("a")?.focus();
    announce(`${counted(neighbours.length - first, "passage")} more`);
  });
}

export async function showText() {
  // The form and the last result are there already.
}

async function read(text) {
  busy = true;
  const button = $("text-form").querySelector("button");
  button.setAttribute("aria-disabled", "true");
  announce("Reading…");
  $("result").hidden = $("near").hidden = true;
  showProblem(null);
  await attempt(async () => {
    const held = await holdings();
    const [encoded] = (await ask("encode", { text })).results;
    showResult(held, encoded);
    if (held.passages) {
      neighbours = (await ask("neighbors", { text, k: NEIGHBOURS })).results;
      $("near").hidden = false;
      await showPassages(SHOWN);
      await showWorks(held);
    }
    announce(`Semantic ID ${encoded.id}. ${$("meaning").textContent}`);
  });
  busy = false;
  button.removeAttribute("aria-disabled");
}

function showResult(held, { id, code, names, confidence, out_of_domain: outside, facts }) {
  const described = held.described.filter(({ place }) => place < names.length)
    .map(({ level, place }) => ({ level, name: names[place], confidence: confidence[place] }));
  $("result").hidden = false;
  $("result-id").textContent = id;
  $("result-id").href = hashOfID(id);
  $("meaning").textContent = meaning(described) ||
    "Levels have no names here; texts that share the beginning of an ID are alike to the model.";
  $("outside").textContent = "This text is unlike what the model was trained on; even that is to be taken with care.";
  $("outside").hidden = !outside;
  $("result-levels").replaceChildren(...held.levels.slice(0, code.length).map(({ level }, depth) => {
    const meter = element("meter", { min: 0, max: 1, value: confidence[depth], "aria-hidden": "true" });
    return element("tr", {},
      element("th", { scope: "row", textContent: spaced(level) }),
      element("td", {}, element("a", { href: hashOfID(code.slice(0, depth + 1).join("-")), textContent: names[depth] })),
      element("td", {}, meter, element("span", { className: "figure", textContent: percent(confidence[depth]) })));
  }));
  $("measured").textContent = facts.map(measured).join(" ");
  $("measured").hidden = facts.length === 0;
}

async function showPassages(count) {
  const held = await holdings();
  $("near-passages").replaceChildren(...neighbours.slice(0, count).map((each) => passageItem(held, each)));
  $("near-more").hidden = count >= neighbours.length;
}

async function showWorks(held) {
  const works = new Map();
  for (const { corpus, title, author } of neighbours) {
    const work = works.get(corpus) ?? { corpus, title, author, passages: 0 };
    work.passages += 1;
    works.set(corpus, work);
  }
  const most = [...works.values()].sort((a, b) => b.passages - a.passages).slice(0, WORKS);
  $("near-works-hint").textContent = `Works of most of the ${neighbours.length} nearest passages.`;
  const known = await Promise.all(most.map(({ corpus }) => ask(`works/${encodeURIComponent(corpus)}`)));
  $("near-works").replaceChildren(...most.map((work, place) =>
    workItem(held, { ...work, id: known[place].id ?? known[place].code.join("-") }, counted(work.passages, "passage"))));
}
