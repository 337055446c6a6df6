/** Query and answer on one stage: side by side with their points joined, or one laid over the other. */

import { make } from "./dom.js";

const GAP = 16;

/** Multiplies 3 x 3 matrices, rows first. */
function times(a, b) {
  return a.map((row) => b[0].map((_, column) => row.reduce((sum, value, index) => sum + value * b[index][column], 0)));
}

const scaling = (factor) => [[factor, 0, 0], [0, factor, 0], [0, 0, 1]];
const moving = (by) => [[1, 0, by], [0, 1, by], [0, 0, 1]];

/**
 * Returns the CSS transform that lays the query over the answer.
 *
 * The server's positions have the middle of the first pixel at 0, those of the page its edge.
 * @param {number[][]} transform Query pixels to answer pixels.
 * @param {number} answerScale Page pixels of a pixel of the answer.
 */
export function registered(transform, answerScale) {
  const edges = times(moving(0.5), times(transform, moving(-0.5)));
  const [[a, b, c], [d, e, f], [g, h, i]] = times(scaling(answerScale), edges);
  return `matrix3d(${[a, d, 0, g, b, e, 0, h, 0, 0, 1, 0, c, f, 0, i].join(",")})`;
}

/** Returns how large photos are drawn so that the pair is as large as the room allows, and whether it is stacked. */
export function arranged(query, answer, width, height) {
  const beside = (width - GAP) / (query.width / query.height + answer.width / answer.height);
  const high = Math.min(height, beside);
  const below = (height - GAP) / (query.height / query.width + answer.height / answer.width);
  const wide = Math.min(width, below);
  const areas = [high * high * (query.width / query.height + answer.width / answer.height), wide * wide * (query.height / query.width + answer.height / answer.width)];
  return areas[0] >= areas[1] ? { isStacked: false, size: high } : { isStacked: true, size: wide };
}

/** The stage. Pictures are `{src, width, height, name}`, matches those of the API. */
export class Pair {
  constructor() {
    this.query = make("img", { class: "query", draggable: "false" });
    this.answer = make("img", { class: "answer", draggable: "false" });
    this.drawing = make("svg:svg", { class: "lines", "aria-hidden": "true" });
    this.over = make("div", { class: "over" }, make("img", { alt: "", draggable: "false" }));
    this.edge = make("div", { class: "edge", "aria-hidden": "true" });
    this.element = make("div", { class: "pair" }, this.query, this.answer, this.over, this.edge, this.drawing);
    this.isLaidOver = false;
    this.isFaded = false;
    this.part = 50;
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.element);
    this.element.addEventListener("pointerdown", (event) => this.press(event));
    /** Called with the slider's place when it was dragged on the photo itself. */
    this.onslide = () => {};
  }

  /** Shows two photos; matches may come later. */
  show(query, answer, matches) {
    const isSame = this.photos?.query === query && this.photos?.answer === answer;
    this.photos = { query, answer };
    this.matches = matches;
    if (!isSame) {
      this.query.src = query.src;
      this.over.firstElementChild.src = query.src;
      this.answer.src = answer.src;
      this.query.alt = `Query: ${query.name}`;
      this.answer.alt = `Answer: ${answer.name}`;
    }
    this.draw();
  }

  /** Lays the query over the answer, or puts both side by side. */
  lay(isLaidOver) {
    this.isLaidOver = isLaidOver;
    this.draw();
  }

  /** Shows so many percent of the query over the answer, from the left or, faded, all through. */
  slide(part) {
    this.part = part;
    if (this.isLaidOver) this.cut();
  }

  fade(isFaded) {
    this.isFaded = isFaded;
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!this.photos || !width || !height) return;
    this.element.classList.toggle("laid-over", this.isLaidOver);
    if (this.isLaidOver) this.drawOver(width, height);
    else this.drawBeside(width, height);
  }

  drawBeside(width, height) {
    const { query, answer } = this.photos;
    const { isStacked, size } = arranged(query, answer, width, height);
    const scales = [query, answer].map((photo) => size / (isStacked ? photo.width : photo.height));
    const [a, b] = [query, answer].map((photo, index) => ({ width: photo.width * scales[index], height: photo.height * scales[index] }));
    const total = isStacked ? [size, a.height + GAP + b.height] : [a.width + GAP + b.width, size];
    const [left, top] = [(width - total[0]) / 2, (height - total[1]) / 2];
    Object.assign(a, { left, top, scale: scales[0] });
    Object.assign(b, isStacked ? { left, top: top + a.height + GAP } : { left: left + a.width + GAP, top }, { scale: scales[1] });
    put(this.query, a);
    put(this.answer, b);
    this.drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.drawing.replaceChildren(...this.lines(a, b));
  }

  lines(a, b) {
    if (!this.matches) return [];
    const { points, region, query } = this.matches;
    const at = (place, x, y) => [place.left + (x + 0.5) * place.scale, place.top + (y + 0.5) * place.scale];
    const drawn = points.map(([x, y, u, v]) => {
      const [x1, y1] = at(a, x, y);
      const [x2, y2] = at(b, u, v);
      return make(
        "svg:g",
        {},
        make("svg:line", { x1, y1, x2, y2 }),
        make("svg:circle", { cx: x1, cy: y1, r: 2.5 }),
        make("svg:circle", { cx: x2, cy: y2, r: 2.5 }),
      );
    });
    const outline = (place, corners) => {
      const points = corners.map(([x, y]) => at(place, x, y).join(",")).join(" ");
      return make("svg:g", {}, make("svg:polygon", { class: "outline under", points }), make("svg:polygon", { class: "outline", points }));
    };
    if (region && points.length) {
      const corners = region.map(([x, y]) => at(b, x, y).join(" ")).join("L");
      const around = `M${b.left} ${b.top}h${b.width}v${b.height}h${-b.width}z`;
      // What lies outside of the region is in the shade.
      drawn.unshift(clipped(make("svg:path", { class: "outside", d: `${around}M${corners}z` }), b));
      drawn.push(clipped(outline(b, region), b));
    }
    if (query.box) {
      const [x0, y0, x1, y1] = query.box;
      drawn.push(outline(a, [[x0, y0], [x1, y0], [x1, y1], [x0, y1]].map(([x, y]) => [x - 0.5, y - 0.5])));
    }
    return drawn;
  }

  drawOver(width, height) {
    const { query, answer } = this.photos;
    const scale = Math.min(width / answer.width, height / answer.height);
    const place = { width: answer.width * scale, height: answer.height * scale };
    Object.assign(place, { left: (width - place.width) / 2, top: (height - place.height) / 2 });
    this.place = place;
    put(this.answer, place);
    put(this.over, place);
    const { style } = this.over.firstElementChild;
    style.width = `${query.width}px`;
    style.height = `${query.height}px`;
    style.transform = registered(this.matches.transform, scale);
    this.cut();
  }

  cut() {
    const { left, top, width, height } = this.place;
    this.over.style.clipPath = this.isFaded ? "none" : `inset(0 ${100 - this.part}% 0 0)`;
    this.over.style.opacity = this.isFaded ? this.part / 100 : 1;
    this.edge.hidden = this.isFaded;
    put(this.edge, { left: left + (width * this.part) / 100, top, width: 0, height });
  }

  press(event) {
    if (!this.isLaidOver || event.button !== 0) return;
    event.preventDefault();
    this.element.setPointerCapture(event.pointerId);
    const move = ({ clientX }) => {
      const { left } = this.element.getBoundingClientRect();
      this.part = Math.min(100, Math.max(0, (100 * (clientX - left - this.place.left)) / this.place.width));
      this.cut();
      this.onslide(this.part);
    };
    move(event);
    const end = () => {
      this.element.removeEventListener("pointermove", move);
      this.element.removeEventListener("pointerup", end);
      this.element.removeEventListener("pointercancel", end);
    };
    this.element.addEventListener("pointermove", move);
    this.element.addEventListener("pointerup", end);
    this.element.addEventListener("pointercancel", end);
  }
}

function put({ style }, { left, top, width, height }) {
  style.transform = `translate(${left}px, ${top}px)`;
  style.width = `${width}px`;
  style.height = `${height}px`;
}

/** Returns a drawing that ends where a photo ends. */
function clipped(drawn, { left, top, width, height }) {
  const inside = make("svg:svg", { x: left, y: top, width, height, viewBox: `${left} ${top} ${width} ${height}` }, drawn);
  return inside;
}
