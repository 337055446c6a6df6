/** A wall of photos that keep their shapes; of 20,000 only those in sight are elements. */

import { make } from "./dom.js";
import { guessed, places, shape } from "./rows.js";

const GAP = 10;
const PART = 100;
const AROUND = 700;

/**
 * Photos in parts of a hundred. A part is asked for when it comes in sight, and has a guessed height until then.
 *
 * An item is `{key, width, height, …}`; `key` names it, so that an element moves with its item.
 */
export class Wall {
  /**
   * @param {string} label What a screen reader calls the list.
   * @param {(item) => HTMLElement} tile Makes the element of an item; its first link or button takes the keys.
   * @param {{below?: number, load?: (offset: number, number: number) => Promise<Object[]>,
   *   onpick?: (item, event) => void}} values `below`: room under each photo. `onpick`: the space bar was pressed.
   */
  constructor(label, tile, { below = 0, load = null, onpick = null } = {}) {
    this.element = make("div", { class: "wall", role: "list", "aria-label": label });
    this.tile = tile;
    this.below = below;
    this.load = load;
    this.onpick = onpick;
    this.total = 0;
    this.parts = [];
    this.shown = new Map();
    this.asked = new Set();
    this.current = 0;
    this.goal = null;
    this.generation = 0;
    this.draw = this.draw.bind(this);
    this.drawSoon = () => {
      this.frame ??= requestAnimationFrame(() => {
        this.frame = null;
        this.draw();
      });
    };
    addEventListener("scroll", this.drawSoon, { passive: true });
    this.sizes = new ResizeObserver(() => this.resized());
    this.sizes.observe(this.element);
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.element.addEventListener("focusin", (event) => {
      const held = event.target.closest("[data-place]");
      if (held) this.setCurrent(Number(held.dataset.place));
    });
  }

  /** Takes the wall off the page. */
  remove() {
    removeEventListener("scroll", this.drawSoon);
    this.sizes.disconnect();
    this.element.remove();
  }

  /** Shows these items, and moves the elements of those that were shown before. */
  setItems(items) {
    this.begin(items.length);
    for (let part = 0; part * PART < items.length; part++) {
      this.parts[part] = { items: items.slice(part * PART, (part + 1) * PART) };
    }
    this.layOut();
  }

  /** Shows so many items, each part of which is loaded when it comes in sight. */
  setTotal(total) {
    this.begin(total);
    for (let part = 0; part * PART < total; part++) this.parts[part] = { items: null };
    this.layOut();
  }

  begin(total) {
    this.generation++;
    this.total = total;
    this.parts = [];
    this.asked.clear();
    this.goal = null;
    if (!total) this.clear();
    this.current = Math.min(this.current, Math.max(0, total - 1));
  }

  clear() {
    for (const element of this.shown.values()) element.remove();
    this.shown.clear();
  }

  /** Returns the item at a place, undefined where it has not come yet. */
  at(place) {
    return this.parts[Math.floor(place / PART)]?.items?.[place % PART];
  }

  get wanted() {
    const width = this.width;
    if (width < 420) return 132;
    return width < 900 ? 178 : 216;
  }

  resized() {
    if (this.element.clientWidth === this.width) return;
    this.element.classList.add("still");
    this.layOut();
    clearTimeout(this.moving);
    this.moving = setTimeout(() => this.element.classList.remove("still"), 200);
  }

  /** Finds the place of every part anew. */
  layOut() {
    this.width = this.element.clientWidth;
    if (!this.width) return;
    let top = 0;
    this.parts.forEach((part, number) => {
      part.top = top;
      this.measure(part, number);
      top += part.height;
    });
    this.setHeight(top);
    this.draw();
  }

  measure(part, number) {
    const size = Math.min(PART, this.total - number * PART);
    if (part.items) Object.assign(part, places(part.items.map(shape), this.width, this.wanted, GAP, this.below));
    else part.height = guessed(size, this.width, this.wanted, GAP, this.below);
  }

  setHeight(height) {
    this.element.style.height = `${Math.max(0, Math.ceil(height) - (height ? GAP : 0))}px`;
  }

  /** Makes the elements in sight, and takes away the others. */
  draw() {
    if (!this.width || !this.element.isConnected) return;
    const above = this.element.getBoundingClientRect().top;
    const [from, to] = [-above - AROUND, -above + innerHeight + AROUND];
    const seen = new Map();
    this.parts.forEach((part, number) => {
      if (part.top + part.height < from || part.top > to) return;
      if (!part.items) {
        this.fetchPart(number);
        return;
      }
      part.items.forEach((item, index) => {
        const place = part.places[index];
        const y = part.top + place.y;
        if (y + place.height + this.below >= from && y <= to) seen.set(item.key, [number * PART + index, item, place, y]);
      });
    });
    for (const [key, element] of this.shown) {
      // An element with the focus stays, or the keys would lead nowhere.
      if (!seen.has(key) && !(element.contains(document.activeElement) && this.holds(key))) {
        element.remove();
        this.shown.delete(key);
      }
    }
    this.put(seen);
  }

  holds(key) {
    return this.at(this.current)?.key === key;
  }

  put(seen) {
    let last = null;
    for (const [key, [place, item, { x, width, height }, y]] of seen) {
      let element = this.shown.get(key);
      if (!element) {
        element = make("div", { role: "listitem", class: "tile" });
        this.shown.set(key, element);
      }
      if (element.item !== item) {
        element.item = item;
        element.replaceChildren(this.tile(item));
      }
      element.dataset.place = place;
      element.setAttribute("aria-posinset", place + 1);
      element.setAttribute("aria-setsize", this.total);
      const { style } = element;
      style.transform = `translate(${x}px, ${y}px)`;
      style.width = `${width}px`;
      style.setProperty("--height", `${height}px`);
      this.focusable(element).tabIndex = place === this.current ? 0 : -1;
      // The order of the elements is the order they are read in.
      const next = last ? last.nextSibling : this.element.firstChild;
      if (element !== next) this.element.insertBefore(element, next);
      last = element;
    }
  }

  focusable(element) {
    return element.querySelector("a, button");
  }

  async fetchPart(number) {
    if (this.asked.has(number) || !this.load) return;
    this.asked.add(number);
    const { generation } = this;
    let items;
    try {
      items = await this.load(number * PART, PART);
    } catch {
      // Whoever loads tells why; the part is asked for again when it is next in sight.
      setTimeout(() => this.asked.delete(number), 1000);
      return;
    }
    if (generation !== this.generation) return;
    this.parts[number].items = items;
    this.settle(number);
  }

  /** Gives a part its true height, without moving what is in sight. */
  settle(number) {
    const part = this.parts[number];
    const before = part.height;
    this.measure(part, number);
    const grown = part.height - before;
    for (const each of this.parts.slice(number + 1)) each.top += grown;
    const last = this.parts.at(-1);
    const isAbove = this.element.getBoundingClientRect().top + part.top + before < 0;
    const isAtEnd = scrollY > 0 && scrollY + innerHeight > document.documentElement.scrollHeight - 2;
    this.setHeight(last.top + last.height);
    if (isAtEnd) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    else if (isAbove && grown) scrollBy({ top: grown, behavior: "instant" });
    this.draw();
    if (this.goal !== null && this.at(this.goal)) this.focus(this.goal);
  }

  /** Makes the elements of these items anew. */
  refresh() {
    for (const element of this.shown.values()) {
      const hadFocus = element.contains(document.activeElement);
      element.replaceChildren(this.tile(element.item));
      this.focusable(element).tabIndex = Number(element.dataset.place) === this.current ? 0 : -1;
      if (hadFocus) this.focusable(element).focus({ preventScroll: true });
    }
  }

  setCurrent(place) {
    const was = this.elementAt(this.current);
    if (was) this.focusable(was).tabIndex = -1;
    this.current = place;
    const now = this.elementAt(place);
    if (now) this.focusable(now).tabIndex = 0;
  }

  elementAt(place) {
    const item = this.at(place);
    return item && this.shown.get(item.key);
  }

  key(event) {
    const held = event.target.closest("[data-place]");
    if (!held || event.target.matches("input") || event.altKey || event.ctrlKey || event.metaKey) return;
    const place = Number(held.dataset.place);
    if (event.key === " " && this.onpick) {
      event.preventDefault();
      this.onpick(held.item, event);
      return;
    }
    const to = this.target(event.key, place);
    if (to === null) return;
    event.preventDefault();
    if (this.at(to)) {
      this.focus(to);
      return;
    }
    // It comes when its part is in sight.
    this.goal = to;
    const part = this.parts[Math.floor(to / PART)];
    const share = (to % PART) / PART;
    scrollBy({ top: this.element.getBoundingClientRect().top + part.top + share * part.height, behavior: "instant" });
    this.draw();
  }

  target(key, place) {
    switch (key) {
      case "ArrowRight": return Math.min(place + 1, this.total - 1);
      case "ArrowLeft": return Math.max(place - 1, 0);
      case "ArrowDown": return this.neighbour(place, 1);
      case "ArrowUp": return this.neighbour(place, -1);
      case "Home": return 0;
      case "End": return this.total - 1;
      default: return null;
    }
  }

  /** Returns the place in the next row (or the one before) that lies nearest. */
  neighbour(place, step) {
    const [x, y] = this.middle(place);
    let best = null;
    let nearest = Infinity;
    let row = null;
    for (let other = place + step; this.at(other); other += step) {
      const [otherX, otherY] = this.middle(other);
      if (otherY === y) continue;
      row ??= otherY;
      if (otherY !== row) break;
      if (Math.abs(otherX - x) < nearest) [nearest, best] = [Math.abs(otherX - x), other];
    }
    return best;
  }

  middle(place) {
    const part = this.parts[Math.floor(place / PART)];
    const { x, y, width } = part.places[place % PART];
    return [x + width / 2, part.top + y];
  }

  /** Brings an item in sight and gives it the keys. */
  focus(place) {
    this.goal = null;
    const part = this.parts[Math.floor(place / PART)];
    const { y, height } = part.places[place % PART];
    const top = this.element.getBoundingClientRect().top + part.top + y;
    const head = document.querySelector(".top").offsetHeight + GAP;
    const over = top - head;
    const under = top + height + this.below + GAP - innerHeight;
    if (over < 0) scrollBy({ top: over, behavior: "instant" });
    else if (under > 0) scrollBy({ top: Math.min(under, over), behavior: "instant" });
    this.setCurrent(place);
    this.draw();
    const element = this.elementAt(place);
    if (element) this.focusable(element).focus({ preventScroll: true });
  }
}
