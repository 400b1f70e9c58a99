// What goes wrong is said in words at the top, with another try where that may help.

import { $, announce } from "./elements.js";
import { Problem } from "./server.js";

/** Runs something that asks the server; a problem is shown, and "Try again" runs it once more. */
export async function attempt(action) {
  try {
    await action();
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) {
      showProblem(new Problem("Something went wrong in this page; loading it anew may help."));
      throw error;
    }
    showProblem(error, () => attempt(action));
    return false;
  }
}

export function showProblem(problem, tryAgain = null) {
  $("problem").hidden = problem === null;
  if (problem === null) return;
  announce("");
  const wait = problem.retry ? ` Try again in ${problem.retry === 1 ? "a second" : `${problem.retry} seconds`}.` : "";
  $("problem-text").textContent = problem.message + wait;
  const again = $("again");
  again.hidden = problem.retry === null || tryAgain === null;
  again.onclick = () => {
    showProblem(null);
    tryAgain();
  };
  $("problem").scrollIntoView({ block: "nearest" });
}
