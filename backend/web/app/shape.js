/**
 * The shape of both graphs: steps, arrows, and where each is drawn. Owns the fixed layout, once for wide pages and once
 * for phones; a test holds steps and arrows equal to the graphs that the engine compiles. Pure.
 */

/** @typedef {[number, number]} Cell column and row */
/** @typedef {{from: string, to: string, rare?: boolean}} Edge `rare`: drawn only when it was taken */

/** @type {Record<string, {wide: Cell, narrow: Cell}>} */
export const STEPS = {
  take_snapshot: { wide: [0, 1], narrow: [0, 0] },
  intent: { wide: [1, 1], narrow: [1, 0] },
  responder: { wide: [2, 2], narrow: [0, 1] },
  run_baseline: { wide: [2, 1], narrow: [2, 0] },
  researcher: { wide: [3, 1], narrow: [3, 0] },
  planner: { wide: [4, 1], narrow: [3, 1] },
  approve_plan: { wide: [4.5, 0], narrow: [2, 1] },
  tester: { wide: [5, 1], narrow: [1, 1] },
  coder: { wide: [6, 1], narrow: [0, 3] },
  choose: { wide: [7, 1], narrow: [1, 3] },
  examiner: { wide: [7, 2], narrow: [0, 4] },
  ask_which: { wide: [7, 0], narrow: [1, 4] },
  reviewer: { wide: [8, 1], narrow: [2, 3] },
  reflector: { wide: [6, 2], narrow: [2, 2] },
  approve_patch: { wide: [8.5, 0], narrow: [3, 3] },
  deliver: { wide: [9, 1], narrow: [3, 4] },
};

/** @type {Edge[]} */
export const EDGES = [
  { from: "take_snapshot", to: "intent" },
  { from: "intent", to: "responder" },
  { from: "intent", to: "run_baseline" },
  { from: "responder", to: "deliver", rare: true },
  { from: "run_baseline", to: "researcher" },
  { from: "researcher", to: "planner" },
  { from: "planner", to: "approve_plan" },
  { from: "planner", to: "tester" },
  { from: "approve_plan", to: "tester" },
  { from: "approve_plan", to: "deliver", rare: true },
  { from: "tester", to: "coder" },
  { from: "tester", to: "choose", rare: true },
  { from: "coder", to: "choose" },
  { from: "choose", to: "examiner", rare: true },
  { from: "examiner", to: "choose", rare: true },
  { from: "choose", to: "ask_which", rare: true },
  { from: "ask_which", to: "choose", rare: true },
  { from: "choose", to: "reviewer" },
  { from: "choose", to: "reflector" },
  { from: "choose", to: "approve_patch", rare: true },
  { from: "choose", to: "deliver", rare: true },
  { from: "reviewer", to: "approve_patch" },
  { from: "reviewer", to: "reflector" },
  { from: "reviewer", to: "deliver" },
  { from: "reflector", to: "planner" },
  { from: "approve_patch", to: "deliver" },
];

/** @type {Record<string, {wide: Cell, narrow: Cell}>} */
export const CANDIDATE_STEPS = {
  write: { wide: [0, 0], narrow: [0, 0] },
  apply: { wide: [1, 0], narrow: [1, 0] },
  run_tests: { wide: [2, 0], narrow: [2, 0] },
  debugger: { wide: [3, 0], narrow: [3, 0] },
};

/** @type {Edge[]} */
export const CANDIDATE_EDGES = [
  { from: "write", to: "apply" },
  { from: "apply", to: "run_tests" },
  { from: "apply", to: "write", rare: true },
  { from: "run_tests", to: "debugger" },
  { from: "run_tests", to: "write", rare: true },
  { from: "debugger", to: "write" },
];

/** Whether one step may follow another. @param {Edge[]} edges @param {string} from @param {string} to */
export function leadsTo(edges, from, to) {
  return edges.some((edge) => edge.from === from && edge.to === to);
}
