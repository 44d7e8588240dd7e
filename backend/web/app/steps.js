/**
 * The state of a step: its sign, its word, and how it follows from its visits. Colours are never alone. Pure.
 */

import { lastOf } from "./lanes.js";

/** @type {Record<string, {sign: string, word: string}>} */
export const SIGNS = {
  idle: { sign: "○", word: "not begun" },
  running: { sign: "◐", word: "at work" },
  waiting: { sign: "?", word: "waits for a person" },
  done: { sign: "✓", word: "done" },
  failed: { sign: "✕", word: "failed" },
  stopped: { sign: "■", word: "stopped" },
};

/**
 * Each step's state and how often it was visited.
 * @param {import("./lanes.js").Lane} lane
 * @param {Record<string, unknown>} steps
 * @returns {[string, {state: string, visits: number}][]}
 */
export function eachStep(lane, steps) {
  return Object.keys(steps).map((node) => {
    const visits = lane.visits.filter((visit) => visit.node === node).length;
    return [node, { state: lastOf(lane, node)?.state ?? "idle", visits }];
  });
}
