/**
 * Bringing what is on the page up to date in place. Owns that what stays is the same element as before: it keeps the focus, how
 * far it was scrolled, what is selected in it, and a click that is under way.
 */

import { fill, mark } from "./dom.js";

/**
 * Make an element's content like the given one; only what differs is touched. What is given has no listeners of its own,
 * since the elements that are there already stay.
 * @param {Element} element
 * @param {...import("./dom.js").Child} children
 */
export function renew(element, ...children) {
  const wanted = document.createElement("div");
  fill(wanted, ...children);
  renewChildren(element, wanted);
}

/**
 * Make these the children of a list, in this order; those that stand right already are not moved.
 * @param {Element} list
 * @param {HTMLElement[]} elements
 */
export function arrange(list, elements) {
  const focused = document.activeElement;
  const wanted = new Set(/** @type {Element[]} */ (elements));
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((element, at) => {
    if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null);
  });
  const moved = focused instanceof HTMLElement && focused !== document.activeElement && list.contains(focused);
  if (moved) focused.focus({ preventScroll: true });
}

/** @param {Element} now @param {Element} wanted */
function renewChildren(now, wanted) {
  const nodes = [...wanted.childNodes];
  while (now.childNodes.length > nodes.length) now.lastChild?.remove();
  nodes.forEach((node, at) => {
    const there = now.childNodes[at];
    if (!there) now.append(node);
    else if (there.nodeName !== node.nodeName) there.replaceWith(node);
    else if (there instanceof HTMLElement && node instanceof HTMLElement) renewElement(there, node);
    else if (there.nodeValue !== node.nodeValue) there.nodeValue = node.nodeValue;
  });
}

/** @param {HTMLElement} now @param {HTMLElement} wanted */
function renewElement(now, wanted) {
  for (const { name } of [...now.attributes]) if (name !== "style" && !wanted.hasAttribute(name)) now.removeAttribute(name);
  for (const { name, value } of wanted.attributes) if (name !== "style") mark(now, name, value);
  if (now.style.cssText !== wanted.style.cssText) now.style.cssText = wanted.style.cssText; // as an attribute the page's policy forbids it
  renewChildren(now, wanted);
}
