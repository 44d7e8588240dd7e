/**
 * Making elements. Owns the one door through which text reaches the page: as text, never as markup.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {string | number | boolean | null | undefined | Record<string, (event: any) => void>} Value */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element. `on` holds listeners by event name; true is an attribute without a value; null and false leave it out.
 * @param {string} tag
 * @param {Record<string, Value>} [attributes]
 * @param {...Child} children
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * An SVG element.
 * @param {string} tag
 * @param {Record<string, Value>} [attributes]
 * @param {...Child} children
 * @returns {any}
 */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * Put other children in place of an element's own.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
}

/**
 * Set an element's text, if it is another.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Set an attribute, if it is another.
 * @param {Element} element
 * @param {string} name
 * @param {string} value
 */
export function mark(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/**
 * A function that runs the given one once in the next frame, however often it is called before.
 * @param {() => void} draw
 */
export function eachFrame(draw) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      draw();
    });
  };
}

/** @param {Element} element @param {Record<string, Value>} attributes @param {Child[]} children */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "object") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else {
      element.setAttribute(checked(name, String(value)), value === true ? "" : String(value));
    }
  }
  element.append(...nodes(children));
  return element;
}

/** A handler or a style as text would be code; an address out of this page would be a way out. @param {string} name @param {string} value */
function checked(name, value) {
  const leaves = ["href", "src", "action"].includes(name) && !/^(#|\/(?!\/))/.test(value);
  if (/^on|^style$|^srcdoc$/i.test(name) || leaves) throw new TypeError(`attribute ${name} is not allowed`);
  return name;
}

/** @param {Child[]} children @returns {(Node | string)[]} */
function nodes(children) {
  return children
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}
