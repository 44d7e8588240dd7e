/**
 * What is worth saying aloud: changes of state, for who cannot see the page. Pure.
 */

import { linesOf } from "./words.js";

const ALOUD = new Set([
  "run.interrupted",
  "run.finished",
  "run.budget_spent",
  "node.failed",
  "work.tests_ran",
  "work.candidate_ended",
  "work.patch_chosen",
  "approval.given",
]);

/** @param {import("./state.js").Run} state @param {import("./words.js").RunEvent} event @returns {string} empty for nothing */
export function newsOf(state, event) {
  if (event.kind === "approval.asked" && event.gate === "behaviour") return `The run asks you: ${event.question}`;
  if (event.kind === "approval.asked") return `The run asks you about the ${event.gate}. Press a to approve, n to decline.`;
  if (event.kind === "node.started" && event.candidate === null) return `${event.node.replace("_", " ")} begins`;
  if (!ALOUD.has(event.kind)) return "";
  const who = event.candidate && state.candidates.size > 1 ? `candidate ${event.candidate}: ` : "";
  return who + (linesOf(event)[0]?.text ?? "");
}
