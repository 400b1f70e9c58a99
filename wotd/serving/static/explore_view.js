// IDs by sunburst, tree or names of levels, and the works and passages that bear what is chosen.

import { $, announce, counted, element } from "./elements.js";
import { hierarchy } from "./hierarchy.js";
import { holdings, namesOf } from "./holdings.js";
import { linkToID, passageList, workItem } from "./lists.js";
import { pagedList } from "./pages.js";
import { levelsOf, parentOf, prefixOf } from "./pattern.js";
import { makePickers } from "./pickers.js";
import { hashOfID, isPattern } from "./route.js";
import { address, ask, Problem } from "./server.js";
import { drawSunburst } from "./sunburst.js";
import { makeTree } from "./tree.js";
import { workDetails } from "./work_details.js";

const RINGS = 3;
const WORKS = 12;
const PASSAGES = 6;
const WIDE = "(min-width: 1100px)";

let pickers;
let tree;
let latest = 0;

export function startExploreView(held) {
  pickers = makePickers($("explore-pickers"), held, "explore", (pattern) => {
    location.hash = hashOfID(pattern);
  });
  pickers.pattern = "";
  $("explore-pickers").hidden = !held.named;
  $("explore-pickers").addEventListener("submit", (event) => event.preventDefault());
  tree = makeTree($("tree"), held);
  $("tree-box").open = matchMedia(WIDE).matches;
}

/** Shows the IDs that match a pattern, or one work and where its ID lies. */
export async function showExplore({ pattern, corpus }) {
  latest += 1;
  const turn = latest;
  const held = await holdings();
  const chosen = $("chosen");
  chosen.setAttribute("aria-busy", "true");
  try {
    const work = corpus === undefined ? null : await ask(`works/${encodeURIComponent(corpus)}`);
    const wanted = work === null ? pattern : work.id ?? work.code.join("-");
    const parts = work === null ? await kind(held, wanted) : await workDetails(held, work);
    if (turn !== latest) return; // another one was chosen meanwhile
    const inside = chosen.contains(document.activeElement);
    chosen.replaceChildren(...parts);
    if (inside) chosen.querySelector("h3").focus();
    announce(chosen.querySelector("h3").textContent);
    await showPlace(held, patternOfLevels(held, wanted), turn);
    // On a narrow screen a work stands below pickers and sunburst, where nobody would see that it has come.
    if (work !== null && turn === latest && !matchMedia(WIDE).matches) chosen.scrollIntoView();
  } catch (error) {
    if (turn === latest) {
      chosen.replaceChildren(); // what was there is not what the address says
      await showPlace(held, "", turn);
    }
    throw error;
  } finally {
    if (turn === latest) chosen.removeAttribute("aria-busy");
  }
}

/** Without the suffix that tells works of one code apart: passages have none. */
const patternOfLevels = (held, pattern) => pattern.split("-").slice(0, held.levels.length).join("-");

async function kind(held, pattern) {
  const query = { id: pattern };
  const [works, passages] = await Promise.all([
    ask(address("works", { ...query, limit: WORKS })),
    ask(address("passages", { ...query, turns: true, limit: PASSAGES })),
  ]);
  const names = namesOf(held, pattern);
  const heading = element("h3", { tabIndex: -1, className: "kind" },
    pattern && held.named ? `${names.join(", ")} ` : "", pattern ? linkToID(pattern) : "All IDs");
  const parts = [heading, element("p", {
    className: "hint",
    textContent: held.hasWorks ? `${counted(passages.total, "passage")}, ${counted(works.total, "work")}`
      : counted(passages.total, "row"),
  })];
  if (!passages.total) parts.push(element("p", { textContent: "Nothing bears such an ID." }));
  if (works.total) {
    parts.push(element("h4", { textContent: "Works" }), ...pagedList({
      first: { total: works.total, items: works.works },
      item: (work) => workItem(held, work),
      next: async (offset) => {
        const more = await ask(address("works", { ...query, limit: 50, offset }));
        return { total: more.total, items: more.works };
      },
      noun: "work",
      className: "works",
    }));
  } else if (held.hasWorks && passages.total) {
    parts.push(element("p", { className: "hint", textContent: "No work as a whole has such an ID; passages of some do." }));
  }
  if (passages.total) parts.push(element("h4", { textContent: held.hasWorks ? "Passages" : "Rows" }),
    ...passageList(held, { ...query, turns: true }, passages));
  return parts;
}

async function showPlace(held, pattern, turn) {
  if (!isPattern(pattern)) throw new Problem(`There is no ID ${pattern}.`);
  pickers.pattern = pattern;
  showPath(held, pattern);
  const prefix = prefixOf(pattern);
  const centre = levelsOf(prefix).length >= held.levels.length ? parentOf(prefix) : prefix;
  const below = await hierarchy(centre, RINGS);
  if (turn !== latest) return;
  const caption = (node) => {
    const named = node && namesOf(held, node.id).join(", ");
    $("sunburst-caption").textContent = node ? `${named} · ${node.id} · ${counted(node.passages, "passage")}`
      : below.children.length ? "Each ring is a level; wider sectors hold more." : "";
  };
  const go = (id) => {
    location.hash = hashOfID(id);
  };
  $("sunburst").querySelector("svg")?.remove();
  $("sunburst").prepend(drawSunburst({
    tree: below,
    pattern,
    title: `Sunburst of the IDs below ${namesOf(held, centre).join(", ") || "the root"}; the list of the hierarchy says the same`,
    hue: hueOf(held),
    go,
    up: centre ? () => go(parentOf(centre)) : null,
    hover: caption,
  }));
  caption(null);
  await tree.reveal(prefix);
}

/** Colours go by the first level, spread over the circle. */
function hueOf({ levels }) {
  const size = levels[0].codes.length;
  return (id) => Math.round((Number(id.split("-")[0]) * 360) / size + 20) % 360;
}

function showPath(held, pattern) {
  const levels = levelsOf(prefixOf(pattern));
  const steps = levels.map((index, depth) => {
    const id = levels.slice(0, depth + 1).join("-");
    return { id, name: namesOf(held, id).at(-1) };
  });
  const links = [{ id: "", name: "all" }, ...steps].map(({ id, name }) =>
    element("a", { href: hashOfID(id), textContent: name }));
  if (pattern === prefixOf(pattern)) links.at(-1).setAttribute("aria-current", "true");
  $("path").replaceChildren(...links.map((link) => element("li", {}, link)));
}
