/**
 * The graph of a run, drawn: each step with its state, how often it was visited, how fast it writes. Owns the drawing; what
 * is drawn where is `shape.js`'s.
 */

import { rateOf } from "./calls.js";
import { eachStep, SIGNS } from "./steps.js";
import { h, mark, say, svg } from "./dom.js";
import { lastOf, taken } from "./lanes.js";
import { CANDIDATE_EDGES, CANDIDATE_STEPS, EDGES, STEPS } from "./shape.js";
import { shortened } from "./format.js";
import { TONES } from "./words.js";

/** @typedef {import("./state.js").Run} Run */
/** @typedef {{node: string, candidate: number | null}} Chosen */
/** @typedef {{wide: import("./shape.js").Cell, narrow: import("./shape.js").Cell}} Places */

const SIZES = {
  wide: { column: 116, row: 54, width: 104, height: 30, lines: 1 },
  narrow: { column: 92, row: 60, width: 84, height: 38, lines: 2 },
};

/** One drawing of steps and arrows, which changes in place. */
class Drawing {
  /**
   * @param {Record<string, Places>} steps
   * @param {import("./shape.js").Edge[]} edges
   * @param {"wide" | "narrow"} size
   * @param {string} label
   * @param {(node: string) => void} choose
   */
  constructor(steps, edges, size, label, choose) {
    this.size = SIZES[size];
    const cells = Object.values(steps).map((places) => places[size]);
    const width = (Math.max(...cells.map(([column]) => column)) + 1) * this.size.column;
    const height = (Math.max(...cells.map(([, row]) => row)) + 1) * this.size.row + (cells.every(([, row]) => !row) ? 14 : 0);
    this.edges = edges.map((edge) => ({ edge, line: this.#arrow(steps, edge, size) }));
    this.steps = new Map(Object.keys(steps).map((node) => [node, this.#step(node, steps[node][size], choose)]));
    this.element = svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": label, class: `graph ${size}` },
      ...this.edges.map(({ line }) => line),
      ...[...this.steps.values()].map((step) => step.element),
    );
  }

  /** @param {string} node @param {{state: string, visits: number, rate: number, chosen: boolean, note?: string}} shown */
  show(node, { state, visits, rate, chosen, note = "" }) {
    const step = this.steps.get(node);
    if (!step) return;
    mark(step.element, "data-state", state);
    mark(step.element, "aria-pressed", String(chosen));
    say(step.sign, SIGNS[state]?.sign ?? "");
    say(step.count, visits > 1 ? `×${visits}` : "");
    say(step.rate, rate >= 0.5 ? `${rate.toFixed(0)} tok/s` : note);
    const often = visits > 1 ? `, ${visits} times` : "";
    mark(step.element, "aria-label", `${node.replace("_", " ")}: ${SIGNS[state]?.word ?? state}${often}`);
  }

  /** @param {Set<string>} pairs */
  light(pairs) {
    for (const { edge, line } of this.edges) {
      const lit = pairs.has(`${edge.from} ${edge.to}`);
      mark(line, "class", lit ? "arrow lit" : edge.rare ? "arrow rare" : "arrow");
    }
  }

  /** @param {string} node @param {import("./shape.js").Cell} cell @param {(node: string) => void} choose */
  #step(node, cell, choose) {
    const { width, height } = this.size;
    const [x, y] = this.#middle(cell);
    const left = x - width / 2;
    const sign = svg("text", { x: left + 11, y: y + 4, class: "sign", "text-anchor": "middle" });
    const count = svg("text", { x: x + width / 2 - 2, y: y - height / 2 - 4, class: "count", "text-anchor": "end" });
    const rate = svg("text", { x: left + 2, y: y - height / 2 - 4, class: "rate" });
    const pressed = (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose(node);
    };
    const element = svg(
      "g",
      { class: "step", tabindex: "0", role: "button", "data-node": node, on: { click: () => choose(node), keydown: pressed } },
      svg("rect", { x: left, y: y - height / 2, width, height, rx: 8 }),
      sign,
      this.#name(node, left + 21, y),
      count,
      rate,
    );
    return { element, sign, count, rate };
  }

  /** A name of two words takes two lines where there is little room. @param {string} node @param {number} x @param {number} y */
  #name(node, x, y) {
    const words = node.split("_");
    const lines = this.size.lines > 1 ? words : [words.join(" ")];
    const first = y + 4 - (lines.length - 1) * 6;
    const spans = lines.flatMap((line, at) => [at ? " " : "", svg("tspan", { x, y: first + at * 12 }, line)]);
    return svg("text", { class: "name" }, ...spans);
  }

  /** @param {Record<string, Places>} steps @param {import("./shape.js").Edge} edge @param {"wide" | "narrow"} size */
  #arrow(steps, edge, size) {
    const [x1, y1] = this.#middle(steps[edge.from][size]);
    const [x2, y2] = this.#middle(steps[edge.to][size]);
    return svg("path", { d: pathOf(x1, y1, x2, y2, this.size), class: "arrow" });
  }

  /** @param {import("./shape.js").Cell} cell @returns {[number, number]} */
  #middle([column, row]) {
    return [(column + 0.5) * this.size.column, (row + 0.5) * this.size.row];
  }
}

/** The graph of a run and, under it, those of its candidates. */
export class Graph {
  /** @param {(chosen: Chosen) => void} choose told which step was chosen */
  constructor(choose) {
    this.choose = choose;
    const picked = (/** @type {string} */ node) => choose({ node, candidate: null });
    this.drawings = /** @type {const} */ (["wide", "narrow"]).map(
      (size) => new Drawing(STEPS, EDGES, size, "Steps of the run", picked),
    );
    /** @type {Map<number, {drawing: Drawing, element: HTMLElement, title: HTMLElement, ended: HTMLElement}>} */
    this.candidates = new Map();
    this.strip = h("div", { class: "candidates" });
    this.element = h("div", { class: "graphs" }, ...this.drawings.map((drawing) => drawing.element), this.strip);
  }

  /** @param {Run} run @param {number} now milliseconds, by the server's clock @param {Chosen} chosen */
  show(run, now, chosen) {
    const rates = ratesOf(run, now);
    const pairs = taken(run.lane);
    for (const drawing of this.drawings) {
      drawing.light(pairs);
      for (const [node, { state, visits }] of eachStep(run.lane, STEPS)) {
        const picked = chosen.node === node && chosen.candidate === null;
        drawing.show(node, { state, visits, rate: rates.get(`${node} `) ?? 0, chosen: picked, note: noteOf(run, node) });
      }
    }
    for (const candidate of run.candidates.values()) this.#showCandidate(candidate, rates, chosen);
    this.strip.hidden = !run.candidates.size;
  }

  /** @param {import("./state.js").Candidate} candidate @param {Map<string, number>} rates @param {Chosen} chosen */
  #showCandidate(candidate, rates, chosen) {
    const shown = this.candidates.get(candidate.number) ?? this.#newCandidate(candidate);
    const tone = candidate.outcome ? (TONES[candidate.outcome] ?? "") : candidate.state === "running" ? "live" : "dim";
    say(shown.ended, candidate.outcome || (candidate.state === "running" ? "at work" : candidate.state));
    mark(shown.ended, "data-tone", tone);
    mark(shown.ended, "title", shortened(candidate.reason));
    shown.drawing.light(taken(candidate.lane));
    for (const [node, { state, visits }] of eachStep(candidate.lane, CANDIDATE_STEPS)) {
      const picked = chosen.node === node && chosen.candidate === candidate.number;
      const rate = rates.get(`${node} ${candidate.number}`) ?? 0;
      shown.drawing.show(node, { state, visits, rate, chosen: picked });
    }
  }

  /** @param {import("./state.js").Candidate} candidate */
  #newCandidate(candidate) {
    const { number, round } = candidate;
    const label = `candidate ${number}`;
    const picked = (/** @type {string} */ node) => this.choose({ node, candidate: number });
    const drawing = new Drawing(CANDIDATE_STEPS, CANDIDATE_EDGES, "narrow", `Steps of ${label}`, picked);
    const title = h("span", { class: "title" }, round > 1 ? `${label} · plan ${round}` : label);
    const ended = h("span", { class: "chip" });
    const element = h("figure", { class: "candidate" }, h("figcaption", {}, title, ended), drawing.element);
    this.strip.append(element);
    const shown = { drawing, element, title, ended };
    this.candidates.set(number, shown);
    return shown;
  }
}

/** Tokens a second by step and candidate. @param {Run} run @param {number} now */
function ratesOf(run, now) {
  /** @type {Map<string, number>} */
  const rates = new Map();
  for (const call of run.calls.values()) {
    const rate = rateOf(call, now);
    if (!rate) continue;
    for (const key of [`${call.node} ${call.candidate ?? ""}`, ...(call.candidate === null ? [] : ["coder "])]) {
      rates.set(key, (rates.get(key) ?? 0) + rate);
    }
  }
  return rates;
}

/** What is said over a step. @param {Run} run @param {string} node */
function noteOf(run, node) {
  const visit = lastOf(run.lane, node);
  if (visit?.state === "waiting") return "asks you";
  const live = [...run.calls.values()].find((call) => call.node === node && call.state === "queued");
  return live?.ahead ? `queued: ${live.ahead} ahead` : "";
}

/** @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 @param {{width: number, height: number}} size */
function pathOf(x1, y1, x2, y2, { width, height }) {
  const gap = 3;
  if (y1 === y2 && x2 > x1) return head(x1 + width / 2 + gap, y1, x2 - width / 2 - gap, y2);
  if (y1 === y2) return y1 < height * 1.2 ? loop(x1, x2, y1 + height / 2 + gap) : head(x1 - width / 2 - gap, y1, x2 + width / 2 + gap, y2);
  const down = y2 > y1 ? 1 : -1;
  const from = [x1, y1 + (down * height) / 2 + down * gap];
  const to = [x2, y2 - (down * height) / 2 - down * gap];
  return head(from[0], from[1], to[0], to[1]);
}

/** A straight line with a head. @param {number} x1 @param {number} y1 @param {number} x2 @param {number} y2 */
function head(x1, y1, x2, y2) {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  const wing = (/** @type {number} */ turn) =>
    `${(x2 - 6 * Math.cos(angle + turn)).toFixed(1)} ${(y2 - 6 * Math.sin(angle + turn)).toFixed(1)}`;
  return `M${x1} ${y1}L${x2} ${y2}M${wing(0.45)}L${x2} ${y2}L${wing(-0.45)}`;
}

/** An arrow back, under the steps between. @param {number} x1 @param {number} x2 @param {number} y */
function loop(x1, x2, y) {
  const deep = y + (Math.abs(x1 - x2) > 150 ? 18 : 12);
  return `M${x1} ${y}C${x1} ${deep} ${x2} ${deep} ${x2} ${y}M${x2 - 3} ${y + 6}L${x2} ${y}L${x2 + 3} ${y + 6}`;
}
