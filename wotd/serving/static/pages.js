// A list that is asked for page by page.

import { announce, counted, element } from "./elements.js";
import { attempt } from "./problem.js";

/**
 * A list with a button for more.
 * @param {{first: {total: number, items: any[]}, item: (any) => Element, noun: string, className: string,
 *   next: (offset: number) => Promise<{total: number, items: any[]}>, ordered?: boolean}} options
 */
export function pagedList({ first, item, next, noun, className, ordered = false }) {
  const list = element(ordered ? "ol" : "ul", { className }, ...first.items.map(item));
  const more = element("button", { type: "button", className: "plain", textContent: `Show more ${noun}s` });
  more.hidden = list.children.length >= first.total;
  more.addEventListener("click", () => attempt(async () => {
    const { total, items } = await next(list.children.length);
    list.append(...items.map(item));
    announce(`${counted(items.length, noun)} more`);
    // A button that vanishes would take the focus with it.
    if (list.children.length >= total) {
      list.children[list.children.length - items.length]?.querySelector("a")?.focus();
      more.hidden = true;
    }
  }));
  return [list, more];
}
