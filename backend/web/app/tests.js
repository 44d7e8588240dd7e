/**
 * The tests before and after: counts of every try, and which tests turned.
 */

import { h } from "./dom.js";
import { baselineOf, chosenOf, isRed, turned } from "./evidence.js";
import { countedTests, duration, visible } from "./format.js";

/** @typedef {import("./state.js").TestRun} TestRun */

const SEGMENTS = /** @type {const} */ (["passed", "failed", "errors", "skipped"]);

/** @param {import("./state.js").Run} run @returns {HTMLElement} */
export function testsElement(run) {
  const all = [...run.tests.values()];
  if (!all.length) return h("p", { class: "empty" }, run.finished ? "No tests ran in this run." : "No tests have run yet.");
  const most = Math.max(1, ...all.map(totalOf));
  const before = all.filter((each) => each.attempt === 0);
  const tries = all.filter((each) => each.attempt > 0);
  const chosen = chosenOf(run);
  return h(
    "div",
    { class: "tests" },
    h("h3", {}, "Before: the untouched code"),
    ...before.map((each) => testRun(each, { most, title: whose(each), compared: null })),
    !before.length && h("p", { class: "empty" }, "No tests were given or found."),
    h("h3", {}, "After"),
    ...tries.map((each) =>
      testRun(each, {
        most,
        title: `${run.candidates.size > 1 ? `candidate ${each.candidate}, ` : ""}try ${each.attempt}: ${whose(each)}`,
        compared: turned(baselineOf(run.tests, each), each),
        chosen: each.candidate === chosen,
      }),
    ),
    !tries.length && h("p", { class: "empty" }, "No candidate has been tried yet."),
  );
}

/** @param {TestRun} each */
function whose(each) {
  if (each.suite === "judge") return "the judge's tests";
  return each.round > 1 ? `tests written from plan ${each.round}` : "tests written from the plan";
}

/** @param {TestRun} each */
function totalOf({ counts }) {
  return SEGMENTS.reduce((sum, name) => sum + counts[name], 0);
}

/**
 * @param {TestRun} each
 * @param {{most: number, title: string, compared: import("./evidence.js").Turned | null, chosen?: boolean}} shown
 */
function testRun(each, { most, title, compared, chosen = false }) {
  const red = isRed(each);
  return h(
    "section",
    { class: "testrun", "data-tone": red ? "bad" : "good" },
    h(
      "p",
      { class: "head" },
      h("span", { class: "verdict" }, red ? "✕ red" : "✓ green"),
      h("span", { class: "title" }, title),
      chosen && h("span", { class: "chip", "data-tone": "good" }, "chosen"),
      h("span", { class: "dim" }, [each.crashed ? "" : countedTests(each.counts), duration(each.seconds), each.sandbox].filter(Boolean).join(" · ")),
    ),
    bar(each, most),
    each.crashed && h("pre", { class: "crash" }, visible(each.crashed)),
    compared && names("now pass", compared.green, "good", true),
    compared && names("fail, and passed before", compared.broken, "bad", true),
    names(compared ? "still fail" : "fail", compared ? compared.red : each.failing, "bad", Boolean(compared)),
  );
}

/** The counts as a bar, as long as the longest of the run. @param {TestRun} each @param {number} most */
function bar(each, most) {
  const row = h("div", { class: "bar", role: "img", "aria-label": countedTests(each.counts) });
  for (const name of SEGMENTS) {
    if (!each.counts[name]) continue;
    const part = h("span", { class: `part ${name}` });
    part.style.width = `${(each.counts[name] / most) * 100}%`; // set by script, which the page's policy allows
    row.append(part);
  }
  return row;
}

/** @param {string} word @param {string[]} tests @param {string} tone @param {boolean} open */
function names(word, tests, tone, open) {
  if (!tests.length) return null;
  return h(
    "details",
    { class: "names", "data-tone": tone, open: open && tests.length <= 8 },
    h("summary", {}, `${tests.length} ${word}`),
    h("ul", {}, ...tests.map((test) => h("li", {}, visible(test)))),
  );
}
