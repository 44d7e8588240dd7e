/**
 * The timeline: every visit of a step and every call in it, with where the time went. It is the graph as a table, too.
 */

import { doing, rateOf } from "./calls.js";
import { h } from "./dom.js";
import { clock, duration, grouped } from "./format.js";
import { SIGNS } from "./steps.js";

/** @typedef {import("./state.js").Run} Run */
/** @typedef {{visit: import("./lanes.js").Visit, candidate: number | null}} Row */

const PHASES = /** @type {const} */ (["queued", "load", "prompt", "decode"]);
const PHASE_WORDS = { queued: "in the queue", load: "model load", prompt: "prompt read", decode: "answer written" };

/** @param {Run} run @param {number} now milliseconds, by the server's clock @returns {HTMLElement} */
export function timelineElement(run, now) {
  const rows = rowsOf(run);
  if (!rows.length) return h("p", { class: "empty" }, "No step has begun yet.");
  const longest = Math.max(0.1, ...[...run.calls.values()].map((call) => spentOn(call)));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": "Steps in order" },
    legend(),
    h(
      "table",
      { class: "timeline" },
      h("thead", {}, h("tr", {}, ...["began", "step", "state", "took", "tokens", "where the time went"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, ...rows.flatMap((row) => [visitRow(row, now), ...callsIn(row).map((call) => callRow(call, longest, now))])),
    ),
  );
}

/** @param {Run} run @returns {Row[]} */
function rowsOf(run) {
  const rows = run.lane.visits.map((visit) => ({ visit, candidate: /** @type {number | null} */ (null) }));
  for (const { number, lane } of run.candidates.values()) rows.push(...lane.visits.map((visit) => ({ visit, candidate: number })));
  return rows.sort((a, b) => a.visit.at - b.visit.at);
}

/** @param {Row} row */
function callsIn({ visit }) {
  return visit.entries.flatMap((entry) => (entry.call && !entry.replaced ? [entry.call] : []));
}

/** @param {Row} row @param {number} now */
function visitRow({ visit, candidate }, now) {
  const seconds = visit.state === "running" ? (now - visit.at) / 1000 : visit.seconds;
  const { sign, word } = SIGNS[visit.state];
  return h(
    "tr",
    { class: "visit", "data-state": visit.state },
    h("td", { class: "dim" }, clock(visit.at)),
    h("th", { scope: "row" }, visit.node.replace("_", " "), candidate !== null && h("span", { class: "chip" }, `candidate ${candidate}`)),
    h("td", {}, h("span", { class: "sign", "aria-hidden": "true" }, sign), ` ${word}`),
    h("td", { class: "figure" }, duration(seconds)),
    h("td"),
    h("td"),
  );
}

/** @param {import("./calls.js").Call} call @param {number} longest @param {number} now */
function callRow(call, longest, now) {
  const rate = rateOf(call, now);
  return h(
    "tr",
    { class: "call" },
    h("td"),
    h("td", {}, `${call.role}${call.model ? ` · ${call.model}` : ""}`),
    h("td", {}, call.error || doing(call), call.finish === "length" && h("span", { class: "chip", "data-tone": "warn" }, "cut at its limit")),
    h("td", { class: "figure" }, call.seconds ? duration(spentOn(call)) : rate ? `${rate.toFixed(0)} tok/s` : ""),
    h("td", { class: "figure" }, call.promptTokens ? `${grouped(call.promptTokens)} + ${grouped(call.completionTokens)}` : ""),
    h("td", { class: "bars" }, phases(call, longest)),
  );
}

/** @param {import("./calls.js").Call} call */
function spentOn({ seconds }) {
  return seconds ? PHASES.reduce((sum, phase) => sum + seconds[phase], 0) : 0;
}

/** @param {import("./calls.js").Call} call @param {number} longest */
function phases(call, longest) {
  const { seconds } = call;
  if (!seconds) return null;
  const said = PHASES.filter((phase) => seconds[phase] >= 0.05).map((phase) => `${PHASE_WORDS[phase]} ${duration(seconds[phase])}`);
  const row = h("div", { class: "bar", role: "img", "aria-label": said.join(", ") || "no time", title: said.join(" · ") });
  for (const phase of PHASES) {
    const part = h("span", { class: `part ${phase}` });
    part.style.width = `${(seconds[phase] / longest) * 100}%`;
    row.append(part);
  }
  return row;
}

function legend() {
  const words = PHASES.map((phase) => h("span", { class: "key" }, h("span", { class: `part ${phase}` }), PHASE_WORDS[phase]));
  return h("p", { class: "legend dim" }, ...words);
}
