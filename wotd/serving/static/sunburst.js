// A sunburst of IDs: a ring a level, a sector a code, as wide as the passages that bear it. For the mouse and the eye;
// the tree beside it says the same to the keyboard and to those who listen.

import { agrees } from "./pattern.js";

const SVG = "http://www.w3.org/2000/svg";
// Radii of the centre and of each ring's outer edge, by how many rings there are.
const RADII = [[50], [50, 170], [50, 138, 200], [50, 138, 184, 200]];
const LETTER = [6.1, 5.6]; // mean width of a letter on the rings that have labels
const LINE = 13;
const THINNEST = 0.003; // radians; narrower sectors cannot be seen
const MANY = 100; // sectors of a ring, beyond which borders would hide them
const FULL = 2 * Math.PI;

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** The sectors of a tree: angles clockwise from the top, ring from 0. */
export function sectors(tree, rings = RADII.length - 1) {
  const found = [];
  const walk = (node, from, to, ring) => {
    const counts = node.children.map(({ passages }) => passages);
    const all = ring === 0 ? counts.reduce((sum, count) => sum + count, 0) : node.passages;
    let angle = from;
    node.children.forEach((child, place) => {
      const end = angle + (all ? ((to - from) * child.passages) / all : 0);
      if (end - angle >= THINNEST) {
        found.push({ node: child, from: angle, to: end, ring, place });
        if (ring + 1 < rings) walk(child, angle, end, ring + 1);
      }
      angle = end;
    });
  };
  walk(tree, 0, FULL, 0);
  return found;
}

const point = (radius, angle) =>
  `${(radius * Math.sin(angle)).toFixed(2)} ${(-radius * Math.cos(angle)).toFixed(2)}`;

function outline({ from, to, ring }, radii) {
  const [inner, outer] = [radii[ring], radii[ring + 1]];
  const middle = (from + to) / 2; // an arc of half the circle or more is drawn as two
  const arc = (radius, angle, sweep) => `A ${radius} ${radius} 0 0 ${sweep} ${point(radius, angle)}`;
  return `M ${point(outer, from)} ${arc(outer, middle, 1)} ${arc(outer, to, 1)} ` +
    `L ${point(inner, to)} ${arc(inner, middle, 0)} ${arc(inner, from, 0)} Z`;
}

function label({ node, from, to, ring }, radii) {
  if (ring >= LETTER.length) return null;
  const [inner, outer] = [radii[ring], radii[ring + 1]];
  const radius = (inner + outer) / 2;
  const room = Math.floor((outer - inner - 8) / LETTER[ring]);
  if ((to - from) * radius < LINE || node.name.length > room) return null;
  const degrees = (((from + to) / 2) * 180) / Math.PI;
  const flipped = degrees > 180;
  const turn = `rotate(${(degrees - 90).toFixed(2)}) translate(${radius} 0)${flipped ? " rotate(180)" : ""}`;
  return shape("text", { transform: turn, class: `label ring-${ring}` }, node.name);
}

/** Draws what lies below a tree's root. */
export function drawSunburst({ tree, pattern, title, hue, go, up, hover }) {
  const svg = shape("svg", { viewBox: "-202 -202 404 404", role: "img", "aria-label": title });
  const drawn = sectors(tree);
  if (drawn.filter(({ ring }) => ring === 0).length > MANY) svg.classList.add("fine");
  const radii = RADII[Math.max(0, ...drawn.map(({ ring }) => ring + 1))];
  for (const sector of drawn) {
    const path = shape("path", { d: outline(sector, radii), class: `sector ring-${sector.ring}` });
    path.classList.toggle("dim", !agrees(sector.node.id, pattern));
    path.classList.toggle("odd", sector.place % 2 === 1);
    path.classList.toggle("current", sector.node.id === pattern);
    path.style.setProperty("--hue", hue(sector.node.id));
    path.dataset.id = sector.node.id;
    path.addEventListener("click", () => go(sector.node.id));
    path.addEventListener("pointerenter", () => hover(sector.node));
    path.addEventListener("pointerleave", () => hover(null));
    svg.append(path);
  }
  for (const sector of drawn.filter(({ node }) => agrees(node.id, pattern))) {
    const text = label(sector, radii);
    if (text) svg.append(text);
  }
  const centre = shape("g", { class: up ? "centre up" : "centre" });
  const name = tree.name || "all";
  centre.append(
    shape("circle", { r: radii[0] - 2 }),
    shape("text", { y: up ? -4 : 4, class: name.length > 12 ? "name long" : "name" }, name));
  if (up) {
    centre.append(shape("text", { y: 16, class: "back" }, "↑ up"));
    centre.addEventListener("click", up);
  }
  svg.append(centre);
  return svg;
}
