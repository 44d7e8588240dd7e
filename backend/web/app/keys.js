/**
 * The keyboard. Owns the table of keys, when a key is none (in a field, with a modifier, turned off), and the sheet that
 * lists them.
 */

import { h } from "./dom.js";

const OFF = "corral.keys";
/** @type {[string, string][]} */
const SHEET = [
  ["j k", "next and last in the list"],
  ["Enter", "open it"],
  ["/", "search the list"],
  ["c", "start a run, or a conversation"],
  ["m", "write a message"],
  ["1 2 3 4", "log, diff, tests, timeline"],
  ["[ ]", "last and next change in the diff"],
  ["a", "approve what is asked"],
  ["n", "decline it"],
  [".", "stop"],
  ["?", "this sheet"],
];

/** @param {import("./main.js").Shell} shell */
export function listen(shell) {
  document.addEventListener("keydown", (event) => {
    if (!isMeant(event) || !areOn()) return;
    if (pressed(shell, event)) event.preventDefault();
  });
}

/** Whether a key press is a command. @param {KeyboardEvent} event */
export function isMeant(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.repeat && !/^[jk[\]]$/.test(event.key)) return false;
  const target = /** @type {Element | null} */ (event.target);
  return !target?.closest?.("input, textarea, select, dialog, [contenteditable]");
}

/** Show the sheet. */
export function showSheet() {
  const box = h("input", { type: "checkbox", checked: areOn() });
  box.addEventListener("change", () => turn(box.checked));
  const close = h("button", { type: "button", class: "yes" }, "Close");
  const dialog = h(
    "dialog",
    { "aria-labelledby": "sheet-title" },
    h("h2", { id: "sheet-title" }, "Keys"),
    h("dl", { class: "sheet" }, ...SHEET.flatMap(([keys, told]) => [h("dt", {}, ...keys.split(" ").map((key) => h("kbd", {}, key))), h("dd", {}, told)])),
    h("label", { class: "check" }, box, "single keys are commands"),
    h("p", { class: "actions" }, close),
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {import("./main.js").Shell} shell @param {KeyboardEvent} event @returns {boolean} whether it was a command */
function pressed(shell, event) {
  const { key } = event;
  if (key === "?") showSheet();
  else if (key === "j") shell.beside.move(1);
  else if (key === "k") shell.beside.move(-1);
  else if (key === "/") shell.beside.find();
  else if (key === "c") location.hash = shell.beside === shell.list ? "#/" : "#/sessions";
  else return shell.view?.key?.(key, event) ?? false;
  return true;
}

function areOn() {
  try {
    return localStorage.getItem(OFF) !== "off";
  } catch {
    return true;
  }
}

/** @param {boolean} on */
function turn(on) {
  try {
    localStorage.setItem(OFF, on ? "on" : "off");
  } catch {
    return; // a browser that keeps nothing: keys stay commands
  }
}
