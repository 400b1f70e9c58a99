// The key of a server that wants one: asked of the user, kept for this tab alone.

import { $, announce } from "./elements.js";

const NAME = "wotd-api-key";

let kept = null;
let waiting = null;

try {
  kept = sessionStorage.getItem(NAME);
} catch {
  // storage is forbidden: the key lasts as long as the page
}

export const key = () => kept;

/** Forgets a key that was refused, unless another one was given meanwhile. */
export function forgetKey(refused) {
  if (kept === refused) keep(null);
}

/** Resolves when a key was given; whoever asks meanwhile waits for the same one. */
export function keyFromUser(refused) {
  if (kept !== null) return Promise.resolve();
  waiting ??= asked(refused).finally(() => {
    waiting = null;
  });
  return waiting;
}

function asked(refused) {
  const form = $("key-form");
  form.hidden = false;
  $("key-hint").textContent = (refused ? "That key was refused. " : "") +
    "This server answers only those who have its key. It is kept until this tab is closed.";
  $("key").focus();
  announce($("key-hint").textContent);
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      keep($("key").value.trim());
      $("key").value = "";
      form.hidden = true;
      $("main").focus();
      resolve();
    }, { once: true });
  });
}

function keep(value) {
  kept = value;
  try {
    if (value === null) sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, value);
  } catch {
    // as above
  }
}
