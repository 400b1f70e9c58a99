// Works and passages as lists, wherever they are shown.

import { element } from "./elements.js";
import { kindOf } from "./holdings.js";
import { pagedList } from "./pages.js";
import { hashOfID, hashOfWork } from "./route.js";
import { address, ask } from "./server.js";

/** A link to an ID. */
export const linkToID = (id, text = id) =>
  element("a", { href: hashOfID(id), className: "id", textContent: text });

/** A passage with where it is from; the places of a word are marked. */
export function passageItem(held, passage, { showWork = true } = {}) {
  const { text, corpus, title, author, passage: place, id, places = [] } = passage;
  const kind = kindOf(held, id);
  const source = [
    showWork && corpus ? element("a", { href: hashOfWork(corpus), textContent: title || corpus }) : null,
    showWork && author ? `, ${author}` : null,
    showWork && corpus ? " · " : null,
    linkToID(id),
    kind ? ` ${kind}` : null,
  ];
  return element("li", {},
    text === null
      ? element("p", { className: "hint", textContent: `${corpus ? "Passage" : "Row"} ${place}; its text is not kept.` })
      : element("blockquote", {}, ...marked(text, places)),
    element("p", { className: "source" }, ...source));
}

/** Passages that a query gives, page by page. */
export function passageList(held, query, { total, passages }, options = {}) {
  return pagedList({
    first: { total, items: passages },
    item: (passage) => passageItem(held, passage, options),
    next: async (offset) => {
      const more = await ask(address("passages", { ...query, limit: 20, offset }));
      return { total: more.total, items: more.passages };
    },
    noun: held.hasWorks ? "passage" : "row",
    className: "passages",
  });
}

/** A work with its own ID, and a remark where there is one. */
export function workItem(held, { corpus, title, author, id }, remark = "") {
  const kind = kindOf(held, id);
  return element("li", {},
    element("a", { href: hashOfWork(corpus), className: "title", textContent: title || corpus }),
    author ? element("span", { className: "author", textContent: `, ${author}` }) : null,
    element("span", { className: "source" }, linkToID(id), kind ? ` ${kind}` : "", remark ? ` · ${remark}` : ""));
}

/** The parts of a text, those at the places in mark elements. Places count code points. */
export function marked(text, places) {
  const characters = [...text];
  const parts = [];
  let end = 0;
  for (const [first, last] of places) {
    parts.push(characters.slice(end, first).join(""));
    parts.push(element("mark", { textContent: characters.slice(first, last).join("") }));
    end = last;
  }
  return [...parts, characters.slice(end).join("")];
}
