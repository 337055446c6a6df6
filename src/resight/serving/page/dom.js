/** Elements, made in one call. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Returns an element.
 * @param {string} tag Its name; `svg:NAME` for one of SVG.
 * @param {Object} values Attributes; `class`, `on…` listeners, and properties of a name that begins with a dot.
 * @param {...(Node|string|number|null|false|Array)} children What is in it; null and false are nothing.
 */
export function make(tag, values = {}, ...children) {
  const element = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith(".")) element[name.slice(1)] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Puts children in an element in place of those it has. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
}

const PATHS = {
  photo: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z",
  paste: "M9 4h6v3H9zM15 5h3v15H6V5h3M9 12h6M9 16h4",
  close: "M6 6l12 12M18 6L6 18",
  plus: "M12 5v14M5 12h14",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5L20 20",
  crop: "M7 3v14h14M3 7h14v14",
  link: "M10 14a4 4 0 0 0 6 .5l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6-.5l-3 3a4 4 0 0 0 6 6l1-1",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  remove: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  not: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM6.5 6.5l11 11",
  back: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  folder: "M3 6h7l2 2h9v11H3z",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7-10-7-10-7zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  check: "M5 12.5l4.5 4.5L19 7",
  filter: "M4 6h16M7 12h10M10 18h4",
  open: "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
};

/** Returns a drawing of one line, which says nothing to a screen reader. */
export function icon(name) {
  return make("svg:svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, make("svg:path", { d: PATHS[name] }));
}

/** Returns a button with a drawing, and a text that is shown or, with `quiet`, only told. */
export function button(name, text, onclick, values = {}) {
  const { quiet, ...others } = values;
  const told = quiet ? { "aria-label": text, title: text } : {};
  return make("button", { type: "button", onclick, ...told, ...others }, name && icon(name), quiet ? null : make("span", {}, text));
}

/** Returns a count with its noun: `1 photo`, `20,000 photos`. */
export function count(number, noun, plural = `${noun}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : plural}`;
}

/** Returns bytes in the unit a person reads. */
export function bytes(number) {
  const power = Math.min(4, Math.floor(Math.log10(Math.max(number, 1)) / 3));
  const shown = number / 1000 ** power;
  return `${shown.toFixed(power && shown < 10 ? 1 : 0)} ${["bytes", "kB", "MB", "GB", "TB"][power]}`;
}

/** Returns the last part of a path. */
export function nameOf(path) {
  return path.split(/[\\/]/).pop();
}

/** Puts a text on the clipboard, also where the page has no secure origin. */
export async function copyText(text) {
  if (navigator.clipboard?.writeText) {
    try {
      await navigator.clipboard.writeText(text);
      return;
    } catch {
      // Refused by the browser: the older way needs no permission.
    }
  }
  const area = make("textarea", { class: "unseen", ".value": text });
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
