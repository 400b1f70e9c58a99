// Asks the server beside this page and shows its answers. Everything shown is set as text, never as HTML.

const NEIGHBORS = 5;
const WORKS_SHOWN = 100;
const $ = (id) => document.getElementById(id);

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server does not answer; is it still running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(sentence(answer.detail ?? `the server answered ${response.status}.`));
  return answer;
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const counted = (count, noun) => `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
const linkTo = (id, text = id) => element("a", { href: `#/${id}`, textContent: text });

function showProblem(error) {
  $("problem").textContent = error?.message ?? "";
  $("problem").hidden = !error;
}

// --- encode

async function encode(text) {
  const [encoded] = (await ask("encode", { text })).results;
  const { levels } = await ask(`describe/${encoded.id}`);
  showResult(encoded, levels);
  const { results } = await ask("neighbors", { text, k: NEIGHBORS });
  $("near").hidden = false;
  $("passages").replaceChildren(...results.map(passage));
  $("status").textContent = `Semantic ID ${encoded.id}: ${encoded.names.join(", ")}`;
}

function showResult(encoded, levels) {
  $("result").hidden = false;
  $("id").textContent = encoded.id;
  $("id").href = `#/${encoded.id}`;
  $("outside").hidden = !encoded.out_of_domain;
  $("levels").replaceChildren(...levels.map(({ level, name }, depth) => {
    const sure = encoded.confidence[depth];
    const percent = `${Math.round(sure * 100)} %`;
    const meter = element("meter", { min: 0, max: 1, value: sure });
    meter.setAttribute("aria-hidden", "true"); // the figure beside it says the same
    const prefix = encoded.code.slice(0, depth + 1).join("-");
    return element("tr", {},
      element("th", { scope: "row", textContent: level.replaceAll("_", " ") }),
      element("td", {}, linkTo(prefix, name)),
      element("td", {}, meter, ` ${percent}`));
  }));
}

function passage({ text, title, author, passage: place, id }) {
  const source = [title, author].filter(Boolean).join(", ");
  return element("li", {},
    element("blockquote", { textContent: text ?? `(passage ${place}; its text is not kept)` }),
    element("p", { className: "source" }, source ? `${source} · ` : "", linkTo(id)));
}

let busy = false;
$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (busy) return;
  busy = true;
  $("form").querySelector("button").setAttribute("aria-disabled", "true");
  $("status").textContent = "Encoding…";
  $("result").hidden = $("near").hidden = true;
  showProblem(null);
  try {
    await encode(text);
  } catch (error) {
    $("status").textContent = "";
    showProblem(error);
  } finally {
    busy = false;
    $("form").querySelector("button").removeAttribute("aria-disabled");
  }
});

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});

// --- browse: the prefix stands after "#/", so that links, the back button and bookmarks work

async function browse(moved) {
  const prefix = location.hash.startsWith("#/") ? location.hash.slice(2) : "";
  try {
    const branch = await ask(prefix ? `browse/${encodeURIComponent(decodeURIComponent(prefix))}` : "browse");
    showBranch(branch);
    showProblem(null);
    if (moved) $("browse-title").focus();
  } catch (error) {
    showProblem(error);
  }
}

function showBranch({ id, names, passages, children, works }) {
  const indices = id ? id.split("-") : [];
  const steps = indices.map((_, depth) => linkTo(indices.slice(0, depth + 1).join("-"), names[depth]));
  const path = [linkTo("", "All"), ...steps];
  path.at(-1).setAttribute("aria-current", "page");
  $("path").replaceChildren(...path.map((link) => element("li", {}, link)));
  $("count").textContent = counted(passages, "passage");
  $("children").replaceChildren(...children.map((child) => {
    const link = linkTo(child.id, child.name);
    link.append(element("small", { textContent: `${child.id} · ${counted(child.passages, "passage")}` }));
    return element("li", {}, link);
  }));
  $("works-title").hidden = works.length === 0;
  $("works-title").textContent = counted(works.length, "work");
  $("works").replaceChildren(...works.slice(0, WORKS_SHOWN).map(({ title, author, id: own }) =>
    element("li", {}, `${[title, author].filter(Boolean).join(", ")} · `, linkTo(own))));
  if (works.length > WORKS_SHOWN) $("works").append(element("li", { textContent: "…" }));
}

addEventListener("hashchange", () => {
  if (location.hash.startsWith("#/") || location.hash === "") browse(true);
});

const { texts } = await ask("ping").catch(() => ({ texts: true }));
$("form").hidden = !texts;
$("wordless").hidden = texts;
await browse(false);
