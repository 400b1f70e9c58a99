// Starts the page: what the server holds decides which views there are, and the address which one is shown.

import { $, announce } from "./elements.js";
import { attempt, showProblem } from "./problem.js";
import { holdings } from "./holdings.js";
import { parseHash } from "./route.js";
import { showText, startTextView } from "./text_view.js";
import { showExplore, startExploreView } from "./explore_view.js";
import { showWord, startWordView } from "./word_view.js";

const VIEWS = { text: showText, explore: showExplore, work: showExplore, word: showWord };
const SECTIONS = { text: "text", explore: "explore", work: "explore", word: "word" };

let shown = null;
let latest = 0;

async function show() {
  latest += 1;
  const turn = latest;
  try {
    await showRoute();
  } catch (error) {
    if (turn === latest) throw error; // what goes wrong with a view that was left is nobody's business
  }
}

async function showRoute() {
  const hash = location.hash;
  if (hash && !hash.startsWith("#/")) return; // a place on the page, such as the skip link's
  const { hasEncoder, hasTexts } = await holdings();
  const route = parseHash(hash) ?? { view: hasEncoder ? "text" : "explore", pattern: "" };
  const possible = { text: hasEncoder, word: hasTexts }[route.view] ?? true;
  const target = possible ? route : { view: "explore", pattern: "" };
  const section = SECTIONS[target.view];
  const moved = shown !== null && shown !== section;
  shown = section;
  for (const name of new Set(Object.values(SECTIONS))) {
    $(`${name}-view`).hidden = name !== section;
    $(`to-${name}`).toggleAttribute("aria-current", false);
  }
  $(`to-${section}`).setAttribute("aria-current", "page");
  document.title = `${$(`${section}-title`).textContent} · wotd, semantic IDs of literature`;
  if (moved) $(`${section}-title`).focus();
  await VIEWS[target.view](target);
}

function explainLimits({ hasEncoder, hasTexts, hasWorks, named }) {
  const reasons = [];
  if (!hasEncoder && !hasWorks) {
    reasons.push("These IDs were learned from vectors alone, so there are no texts, works or names: " +
      "codes can be browsed, but nothing can be read or searched.");
  } else {
    if (!hasEncoder) reasons.push("These artifacts know no embedding model, so no text can be given an ID.");
    if (!hasTexts) reasons.push("They keep no texts of passages, so no word can be searched.");
    if (!named) reasons.push("Levels have no names, so there is nothing to choose by; codes can be browsed.");
  }
  $("limits").textContent = reasons.join(" ");
  $("limits").hidden = reasons.length === 0;
  $("to-text").parentElement.hidden = !hasEncoder;
  $("to-word").parentElement.hidden = !hasTexts;
}

addEventListener("hashchange", () => {
  showProblem(null);
  attempt(show);
});

await attempt(async () => {
  const held = await holdings();
  explainLimits(held);
  startTextView();
  startExploreView(held);
  startWordView(held);
  document.body.dataset.ready = "true";
  await show();
  announce("");
});
