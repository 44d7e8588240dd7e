/**
 * A patch, drawn as rows: files, hunks, lines with their numbers. Owns how much of a long one is drawn at once.
 */

import { h } from "./dom.js";
import { counted, shortened, visible } from "./format.js";
import { readPatch, sums } from "./patch.js";

/** Rows of a file drawn at once; the rest when asked for. */
const FIRST = 1000;
/** @type {Record<string, string>} */
const MARKS = { same: " ", added: "+", removed: "−", note: "" };

/** @param {string} text @returns {HTMLElement} */
export function diffElement(text) {
  const files = readPatch(text);
  if (!files.length) return h("p", { class: "empty" }, "The patch is empty.");
  const code = files.filter((file) => !file.test);
  const tests = files.filter((file) => file.test);
  const { added, removed } = sums(files);
  return h(
    "div",
    { class: "diff" },
    h(
      "p",
      { class: "sum" },
      `${counted(files.length, "file")}, `,
      h("span", { class: "plus" }, `+${added}`),
      " ",
      h("span", { class: "minus" }, `−${removed}`),
    ),
    ...code.map(fileElement),
    tests.length > 0 && h("h3", { class: "apart" }, code.length ? "Tests in the patch" : "The patch only holds tests"),
    ...tests.map(fileElement),
  );
}

/** Bring the next or the last hunk to the top. @param {Element} within @param {1 | -1} way */
export function stepHunk(within, way) {
  const hunks = [...within.querySelectorAll("[data-hunk]")].map((hunk) => ({ hunk, top: hunk.getBoundingClientRect().top }));
  const edge = within.getBoundingClientRect().top + 60;
  const next = way > 0 ? hunks.find(({ top }) => top > edge + 4) : hunks.findLast(({ top }) => top < edge - 4);
  next?.hunk.scrollIntoView({ block: "start" });
}

/** @param {import("./patch.js").FilePatch} file */
function fileElement(file) {
  const moved = file.change === "renamed" ? `${file.was} → ` : "";
  const title = h(
    "summary",
    {},
    h("span", { class: "path" }, visible(moved + file.path)),
    file.change !== "changed" && h("span", { class: "chip" }, file.change),
    file.mode && h("span", { class: "chip", "data-tone": "warn" }, visible(`mode ${shortened(file.mode, 40)}`)),
    h("span", { class: "plus" }, `+${file.added}`),
    h("span", { class: "minus" }, `−${file.removed}`),
  );
  return h("details", { class: "file", open: true }, title, file.binary ? h("p", { class: "empty" }, "not text") : tableOf(file));
}

/** @param {import("./patch.js").FilePatch} file */
function tableOf(file) {
  const body = h("tbody");
  const rows = drawn(file);
  append(body, rows, FIRST);
  const name = `Changes of ${visible(file.path)}`;
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, h("table", {}, body));
}

/** Rows one after the other, so that none is made before it is drawn. @param {import("./patch.js").FilePatch} file */
function* drawn(file) {
  for (const hunk of file.hunks) {
    yield h("tr", { class: "hunk", "data-hunk": true }, h("td", { colspan: "4" }, visible(hunk.header) || "⋯"));
    for (const row of hunk.rows) yield rowElement(row);
  }
}

/** @param {HTMLElement} body @param {Generator<HTMLElement>} rows @param {number} most */
function append(body, rows, most) {
  for (let left = most; left > 0; left -= 1) {
    const row = rows.next();
    if (row.done) return;
    body.append(row.value);
  }
  const further = rows.next();
  if (further.done) return;
  const more = h("button", { type: "button", class: "more", on: { click: grow } }, "show more");
  const holder = h("tr", {}, h("td", { colspan: "4" }, more));
  body.append(holder);
  function grow() {
    const first = /** @type {HTMLElement} */ (further.value);
    holder.remove();
    body.append(first);
    append(body, rows, FIRST * 2);
    first.tabIndex = -1;
    first.focus({ preventScroll: true }); // one goes on reading there
  }
}

/** @param {import("./patch.js").Row} row */
function rowElement(row) {
  return h(
    "tr",
    { class: row.kind },
    h("td", { class: "number" }, row.old || ""),
    h("td", { class: "number" }, row.new || ""),
    h("td", { class: "mark" }, MARKS[row.kind]),
    h("td", { class: "code" }, row.kind === "note" ? row.text : visible(row.text)),
  );
}
