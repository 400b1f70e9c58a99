// Making elements. What is shown is always set as text, never as HTML.

export const $ = (id) => document.getElementById(id);

const ATTRIBUTE = /^(aria-|data-|role$|for$|colspan$|scope$)/;

/** An element with properties (aria-…, role and the like as attributes) and children; null children are left out. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (ATTRIBUTE.test(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Says something to those who listen to the page instead of looking at it. */
export function announce(text) {
  $("status").textContent = text;
}

export const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
export const spaced = (name) => name.replaceAll("_", " ");
export const percent = (share) => `${Math.round(share * 100)} %`;
