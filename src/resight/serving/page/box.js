/** A box on a photo: drawn, moved, resized and cleared with mouse, finger and keys. */

import { button, make } from "./dom.js";

const LEAST = 0.03;
const STEP = 0.01;
const LARGE_STEP = 0.05;
const SETTLED = 500;
const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];

const clamp = (value, least, most) => Math.min(most, Math.max(least, value));

/** A photo with a box on it. Its element is `element`; positions are pixels of the whole photo. */
export class BoxedPhoto {
  /**
   * @param {{src: string, width: number, height: number, name: string}} picture
   * @param {number[]|null} box
   * @param {(box: number[]|null) => void} onsettle Called when the box stays as it is.
   */
  constructor(picture, box, onsettle) {
    Object.assign(this, { picture, box, onsettle });
    this.image = make("img", { src: picture.src, alt: `Query photo: ${picture.name}`, draggable: "false" });
    this.clearer = button("close", "Clear the box", () => this.clear(), { quiet: true, class: "round clear" });
    this.frame = make(
      "div",
      { class: "box", tabindex: "0", role: "group", "aria-describedby": "box-keys", onkeydown: (event) => this.key(event) },
      HANDLES.map((side) => make("i", { class: `handle ${side}`, "data-side": side })),
      this.clearer,
    );
    this.told = make("p", { class: "unseen", "aria-live": "polite" });
    this.element = make(
      "div",
      { class: "boxed" },
      this.image,
      this.frame,
      this.told,
      make("p", { class: "unseen", id: "box-keys" }, "Arrow keys move the box, with Shift they resize it, Delete clears it."),
    );
    this.element.style.aspectRatio = `${picture.width} / ${picture.height}`;
    this.element.style.setProperty("--ratio", picture.width / picture.height);
    this.element.addEventListener("pointerdown", (event) => this.press(event));
    /** Called when the box that had the focus is gone. */
    this.onleave = () => {};
    this.show();
  }

  /** Waits for a box to be drawn with a finger, which otherwise scrolls; for keys, puts one in the middle. */
  begin(isByKeys) {
    if (isByKeys) {
      const { width, height } = this.picture;
      this.set([width / 4, height / 4, (3 * width) / 4, (3 * height) / 4]);
      this.settleSoon();
      this.frame.focus();
    } else {
      this.element.classList.toggle("armed");
    }
  }

  /** Shows another box, without a call of `onsettle`. */
  setBox(box) {
    this.box = box;
    this.show();
  }

  clear() {
    clearTimeout(this.timer);
    const hadFocus = this.frame.contains(document.activeElement);
    this.set(null);
    this.onsettle(null);
    if (hadFocus) this.onleave();
  }

  set(box) {
    this.box = box && box.map((each) => Math.round(each));
    this.show();
  }

  show() {
    this.frame.hidden = this.box === null;
    this.element.classList.toggle("has-box", this.box !== null);
    if (!this.box) return;
    const { width, height } = this.picture;
    const [x0, y0, x1, y1] = this.box;
    const { style } = this.frame;
    style.left = `${(100 * x0) / width}%`;
    style.top = `${(100 * y0) / height}%`;
    style.width = `${(100 * (x1 - x0)) / width}%`;
    style.height = `${(100 * (y1 - y0)) / height}%`;
    this.frame.setAttribute("aria-label", `Part that is searched for: ${x0}, ${y0} to ${x1}, ${y1} of ${width} by ${height} pixels`);
  }

  settleSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.told.textContent = this.frame.getAttribute("aria-label");
      this.onsettle(this.box);
    }, SETTLED);
  }

  /** Returns where a pointer is, pixels of the whole photo. */
  at({ clientX, clientY }) {
    const { left, top, width, height } = this.element.getBoundingClientRect();
    return [
      clamp((clientX - left) / width, 0, 1) * this.picture.width,
      clamp((clientY - top) / height, 0, 1) * this.picture.height,
    ];
  }

  press(event) {
    if (event.button !== 0 || event.target.closest("button")) return;
    const isTouch = event.pointerType === "touch";
    const isOnBox = this.frame.contains(event.target);
    if (isTouch && !isOnBox && !this.element.classList.contains("armed")) return;
    event.preventDefault();
    const before = this.box;
    const start = this.at(event);
    const side = event.target.dataset?.side;
    const drag = isOnBox ? this.dragOf(side ?? "move", start, before) : (to) => this.between(start, to);
    this.element.setPointerCapture(event.pointerId);
    this.element.classList.add("dragged");
    const move = (moved) => this.set(drag(this.at(moved)));
    const end = (ended) => {
      this.element.removeEventListener("pointermove", move);
      this.element.removeEventListener("pointerup", end);
      this.element.removeEventListener("pointercancel", end);
      this.element.classList.remove("dragged", "armed");
      const isTap = ended.type === "pointercancel" || (!isOnBox && !this.isLarge(this.box));
      if (isTap) this.set(before);
      if (String(this.box) !== String(before)) this.onsettle(this.box);
    };
    this.element.addEventListener("pointermove", move);
    this.element.addEventListener("pointerup", end);
    this.element.addEventListener("pointercancel", end);
  }

  isLarge(box) {
    const { width, height } = this.picture;
    return box !== null && box[2] - box[0] >= LEAST * width && box[3] - box[1] >= LEAST * height;
  }

  between([ax, ay], [bx, by]) {
    return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
  }

  dragOf(side, [startX, startY], box) {
    return ([x, y]) => (side === "move" ? this.moved(box, x - startX, y - startY) : this.resized(box, side, x - startX, y - startY));
  }

  moved([x0, y0, x1, y1], byX, byY) {
    const x = clamp(byX, -x0, this.picture.width - x1);
    const y = clamp(byY, -y0, this.picture.height - y1);
    return [x0 + x, y0 + y, x1 + x, y1 + y];
  }

  resized(box, side, byX, byY) {
    const { width, height } = this.picture;
    let [x0, y0, x1, y1] = box;
    if (side.includes("w")) x0 = clamp(x0 + byX, 0, x1 - LEAST * width);
    if (side.includes("e")) x1 = clamp(x1 + byX, x0 + LEAST * width, width);
    if (side.includes("n")) y0 = clamp(y0 + byY, 0, y1 - LEAST * height);
    if (side.includes("s")) y1 = clamp(y1 + byY, y0 + LEAST * height, height);
    return [x0, y0, x1, y1];
  }

  key(event) {
    if (event.target !== this.frame) return;
    if (event.key === "Delete" || event.key === "Backspace" || event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.clear();
      return;
    }
    const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const direction = directions[event.key];
    if (!direction) return;
    event.preventDefault();
    const step = event.ctrlKey || event.metaKey ? LARGE_STEP : STEP;
    const byX = direction[0] * Math.max(1, step * this.picture.width);
    const byY = direction[1] * Math.max(1, step * this.picture.height);
    this.set(event.shiftKey ? this.resized(this.box, "se", byX, byY) : this.moved(this.box, byX, byY));
    this.settleSoon();
  }
}
