/**
 * What the tests prove: before and after, and who was chosen. Owns the comparison. Pure.
 */

/** @typedef {import("./state.js").TestRun} TestRun */
/** @typedef {{green: string[], red: string[], broken: string[]}} Turned tests that turned green, stayed red, turned red */

/** The run of the untouched code that a run of a candidate is held against. @param {Map<string, TestRun>} tests @param {TestRun} after */
export function baselineOf(tests, after) {
  const known = [...tests.values()].filter((each) => each.attempt === 0 && each.suite === after.suite);
  return known.find((each) => each.suite === "judge" || each.round === after.round) ?? null;
}

/** @param {TestRun | null} before @param {TestRun} after @returns {Turned | null} null where there is nothing to compare */
export function turned(before, after) {
  if (!before || before.crashed || after.crashed) return null;
  const was = new Set(before.failing);
  const is = new Set(after.failing);
  return {
    green: before.failing.filter((test) => !is.has(test)),
    red: after.failing.filter((test) => was.has(test)),
    broken: after.failing.filter((test) => !was.has(test)),
  };
}

/** Whether any tests ran without a sandbox, which only a setting can bring about. @param {Map<string, TestRun>} tests */
export function unguarded(tests) {
  return [...tests.values()].some((each) => each.sandbox === "none");
}

/** @param {TestRun} run */
export function isRed(run) {
  return Boolean(run.crashed || run.counts.failed || run.counts.errors);
}

/**
 * The candidate that was chosen. The event does not name it: it is the one that ended so, the newest plan's first.
 * @param {import("./state.js").Run} state
 */
export function chosenOf(state) {
  const { chosen } = state;
  if (!chosen) return null;
  const same = [...state.candidates.values()].filter(
    (each) => each.outcome === chosen.status && each.reason === chosen.reason,
  );
  same.sort((a, b) => b.round - a.round || a.number - b.number);
  return same[0]?.number ?? null;
}
