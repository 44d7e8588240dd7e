/**
 * The keyboard. Owns the table of keys, when a key is none (in a field, with a modifier, turned off, as the next letter of a
 * text where it would answer a question), and the sheet that lists them.
 */

import { h, mark } from "./dom.js";
import { Pause, SETTLES } from "./settling.js";

const OFF = "corral.keys";
/** Keys that answer a question. */
const ANSWERS = new Set(["a", "n"]);
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
  const pause = new Pause();
  /** @type {any} */
  let timer = null;
  const ended = (/** @type {Event} */ event) => {
    mark(document.body, "data-typing", "true"); // the hints at the buttons go as long
    clearTimeout(timer);
    timer = setTimeout(() => document.body.removeAttribute("data-typing"), SETTLES);
    return pause.end(event.timeStamp);
  };
  document.addEventListener("focusout", (event) => isField(event.target) && ended(event));
  document.addEventListener("keydown", (event) => {
    const rested = ended(event);
    if (!isMeant(event) || !areOn() || (ANSWERS.has(event.key) && !rested)) return;
    if (pressed(shell, event)) event.preventDefault();
  });
}

/** Whether a key there is a letter of a text, or chooses something. @param {EventTarget | null} target */
export function isField(target) {
  return Boolean(/** @type {Element | null} */ (target)?.closest?.("input, textarea, select, [contenteditable]"));
}

/** Whether a key press is a command. @param {KeyboardEvent} event */
export function isMeant(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.repeat && !/^[jk[\]]$/.test(event.key)) return false;
  const target = /** @type {Element | null} */ (event.target);
  return !isField(target) && !target?.closest?.("dialog");
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
