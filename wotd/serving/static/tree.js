// The hierarchy as nested lists: a button opens what lies below, a link goes there. Branches are asked for when opened.

import { $, counted, element } from "./elements.js";
import { hierarchy } from "./hierarchy.js";
import { attempt } from "./problem.js";
import { hashOfID } from "./route.js";

/** A tree in a place, of what the server holds. */
export function makeTree(place, { levels, named }) {
  const items = new Map();
  let root = null;

  function item(node) {
    const link = element("a", { href: hashOfID(node.id) },
      element("span", { textContent: named ? node.name : node.id }),
      element("small", { textContent: (named ? `${node.id} · ` : "") + node.passages.toLocaleString("en") }));
    link.querySelector("small").append(element("span", { className: "unseen", textContent: " passages" }));
    const made = { node, link, list: null };
    items.set(node.id, made);
    if (node.id.split("-").length >= levels.length) return element("li", { className: "leaf" }, link);
    const below = `below-${node.id}`;
    const button = element("button", {
      type: "button", className: "twist",
      "aria-expanded": "false", "aria-label": `Codes below ${node.name}, ${node.id}`,
    });
    button.addEventListener("click", () => attempt(() => toggle(made, button.getAttribute("aria-expanded") !== "true")));
    made.button = button;
    made.list = element("ul", { id: below, hidden: true });
    button.setAttribute("aria-controls", below);
    return element("li", {}, element("div", { className: "row" }, button, link), made.list);
  }

  async function toggle(made, open) {
    if (open && !made.list.children.length) made.list.append(...listItems(await hierarchy(made.node.id, 1)));
    made.list.hidden = !open;
    made.button.setAttribute("aria-expanded", String(open));
  }

  function listItems({ children, more }) {
    const rest = more ? [element("li", { className: "hint", textContent: `and ${counted(more, "code")} of fewer passages` })] : [];
    return [...children.map(item), ...rest];
  }

  return {
    /** Opens what leads to a prefix and marks it as the current one. */
    async reveal(prefix) {
      root ??= hierarchy("", 1).then((top) => place.replaceChildren(element("ul", {}, ...listItems(top))));
      await root.catch((error) => {
        root = null;
        throw error;
      });
      place.querySelectorAll("[aria-current]").forEach((link) => link.removeAttribute("aria-current"));
      const indices = prefix ? prefix.split("-") : [];
      for (let length = 1; length < indices.length; length += 1) {
        const made = items.get(indices.slice(0, length).join("-"));
        if (made?.list) await toggle(made, true);
      }
      const current = items.get(prefix);
      if (!current) return;
      current.link.setAttribute("aria-current", "true");
      if (!$("tree-box").open) return;
      const { offsetTop, offsetHeight } = current.link;
      const { scrollTop, clientHeight } = place;
      if (offsetTop < scrollTop || offsetTop + offsetHeight > scrollTop + clientHeight) {
        place.scrollTop = offsetTop - clientHeight / 2; // moves the list alone, never the page
      }
    },
  };
}
