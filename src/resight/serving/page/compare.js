/** One answer beside the query: why it is an answer, and what can be done with it. */

import { call, original, thumbnail } from "./api.js";
import { BoxedPhoto } from "./box.js";
import { chooser, download, infoOf } from "./chosen.js";
import { button, copyText, count, fill, icon, make } from "./dom.js";
import { removePhotos } from "./jobs.js";
import { notice } from "./notices.js";
import { Pair } from "./pair.js";
import { fileOf, pictureOf } from "./photos.js";
import { WORDS, likelihood } from "./results.js";
import { back, go, now, ofCollection, searchWith } from "./state.js";

const LARGE = 1024;

/** The dialog. It is open as long as the address names an answer. */
export class Compare {
  /** @param {() => Object[]} hits All answers in the order in which they are shown. */
  constructor(hits) {
    this.hits = hits;
    this.dialog = document.getElementById("compare");
    this.pair = new Pair();
    this.title = make("h2", { id: "compare-title", tabindex: "-1", autofocus: true });
    this.pill = make("p", { class: "pill" });
    this.part = make("div", { class: "part", hidden: true });
    this.slider = make("input", { type: "range", min: "0", max: "100", value: "50", step: "0.5", "aria-label": "How much of the query is laid over the answer", oninput: () => this.pair.slide(Number(this.slider.value)) });
    this.pair.onslide = (part) => (this.slider.value = part);
    this.facts = make("aside", { class: "facts" });
    this.before = button("back", "Previous answer", () => this.step(-1), { quiet: true, class: "round" });
    this.after = button("next", "Next answer", () => this.step(1), { quiet: true, class: "round" });
    this.ways = this.choice();
    fill(
      this.dialog,
      make("header", {}, make("div", { class: "named" }, this.pill, this.title), this.before, this.after, button("close", "Close", () => this.close(), { quiet: true, class: "round" })),
      make("div", { class: "shown" }, this.pair.element, this.part, make("div", { class: "under" }, this.ways, this.sliding)),
      this.facts,
      make("div", { class: "notices", role: "status" }),
    );
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
    this.dialog.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.close());
    this.asking = null;
  }

  choice() {
    const way = (words, value, isFirst) =>
      make("label", {}, make("input", { type: "radio", name: "way", value, ".checked": isFirst, onchange: () => this.look(value) }), make("span", {}, words));
    const fade = make("input", { type: "checkbox", onchange: () => this.pair.fade(fade.checked) });
    this.sliding = make("div", { class: "sliding", hidden: true }, this.slider, make("label", {}, fade, " fade"));
    return make("div", { class: "segments", role: "radiogroup", "aria-label": "How the photos are compared" }, way("Side by side", "beside", true), way("Laid over", "over", false));
  }

  look(way) {
    this.way = way;
    this.sliding.hidden = way !== "over" || !this.matches;
    this.pair.lay(way === "over" && Boolean(this.matches?.transform));
  }

  /** Opens, changes or closes, as the address says. */
  async show(asked) {
    if (asked.open === null || asked.view !== "search" || !asked.photos.some((photo) => photo.wanted)) {
      if (this.dialog.open) this.dialog.close();
      this.opened = null;
      return;
    }
    const hit = this.hits().find(({ id }) => id === asked.open);
    const wanted = asked.photos.filter((photo) => photo.wanted);
    const photo = (hit?.photo && wanted.find((each) => each.id === hit.photo.id && each.key === hit.photo.key)) ?? wanted[0];
    const name = `${asked.open} ${photo.key ?? photo.id} ${photo.box}`;
    if (!this.dialog.open) this.dialog.showModal();
    if (this.opened === name) return;
    this.opened = name;
    await this.load(asked.open, photo, hit, name);
  }

  async load(id, photo, hit, name) {
    this.leave();
    this.setMatched(null);
    this.placeButtons(id);
    let shown;
    try {
      const [query, info] = await Promise.all([pictureOf(photo), infoOf(id)]);
      shown = { query, info, answer: { ...info, src: thumbnail(id, LARGE) } };
    } catch (error) {
      if (this.opened === name) this.fail(error.message);
      return;
    }
    if (this.opened !== name) return;
    this.dialog.classList.remove("loading");
    this.info = shown.info;
    this.title.textContent = shown.info.name;
    this.pair.show(shown.query, shown.answer, null);
    this.tell(hit ?? null);
    this.dialog.classList.add("asking");
    try {
      const matches = await this.ask(id, photo);
      if (this.opened !== name) return;
      this.matches = matches;
      this.pair.show(shown.query, shown.answer, matches);
      this.tell(matches);
      this.setMatched(matches);
    } catch (error) {
      if (this.opened === name && error.name !== "AbortError") this.tell(hit ?? null, error.message);
    } finally {
      if (this.opened === name) this.dialog.classList.remove("asking");
    }
  }

  /** Takes away what belongs to the answer that was open before: its buttons would act on it. */
  leave() {
    this.endPart();
    this.matches = null;
    if (this.facts.contains(document.activeElement)) this.title.focus();
    this.dialog.classList.add("loading");
    this.title.textContent = "";
    this.pill.textContent = "";
  }

  async ask(id, photo) {
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    const box = photo.box ? photo.box.join(",") : null;
    if (photo.id !== null) return call(`/matches?query=${photo.id}&answer=${id}${box ? `&box=${box}` : ""}`, { signal });
    const form = new FormData();
    form.append("photo", await fileOf(photo.key), "photo");
    form.append("answer", id);
    if (box) form.append("box", box);
    return call("/matches", { method: "POST", form, signal });
  }

  setMatched(matches) {
    const canLay = Boolean(matches?.transform && matches.points.length);
    for (const input of this.ways.querySelectorAll("input")) input.disabled = input.value === "over" && !canLay;
    if (!canLay && this.way === "over") this.pair.lay(false);
    this.sliding.hidden = !(canLay && this.way === "over");
    if (canLay && this.way === "over") this.pair.lay(true);
  }

  /** Says what is known of the answer: of a hit, or of matches; with an error, why geometry says nothing. */
  tell(known, error = null) {
    const { info } = this;
    const verdict = known?.verdict ?? "unchecked";
    this.pill.className = `pill ${verdict}`;
    this.pill.textContent = WORDS[verdict];
    const numbers = [];
    if (known && known.probability !== null && known.probability !== undefined) numbers.push(["Likely", likelihood(known.probability)]);
    if (known?.inliers !== null && known?.inliers !== undefined) {
      numbers.push(["Points agree", known.inliers.toLocaleString("en")]);
      numbers.push(["By chance", Math.round(known.expected).toLocaleString("en")]);
    }
    const rows = [["Size", `${info.width} × ${info.height}`], ...Object.entries(info.metadata)];
    const list = (entries, name) => entries.length > 0 && make("dl", { class: name }, entries.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, String(value)))));
    fill(
      this.facts,
      make("p", { class: "why" }, error ?? known?.why ?? "The points are being compared."),
      list(numbers, "numbers"),
      this.actions(),
      list(rows, "rows"),
      make("p", { class: "path" }, info.path),
    );
  }

  actions() {
    const { info } = this;
    const one = () => [info];
    const not = () => go({ photos: [...now().photos, ofCollection(info.id, { wanted: false })], open: null });
    return make(
      "div",
      { class: "actions" },
      button("search", "Search with this", () => searchWith([ofCollection(info.id)]), { class: "main" }),
      button("crop", "Search with a part of it", () => this.beginPart(), { class: "soft wide" }),
      button("plus", "Add to query", () => go({ photos: [...now().photos, ofCollection(info.id)], open: null }), { class: "soft" }),
      button("not", "Not this", not, { class: "soft" }),
      make("a", { class: "soft", href: original(info.id), target: "_blank", rel: "noopener" }, icon("open"), make("span", {}, "Open file")),
      button("download", "Download", () => download(one()), { class: "soft" }),
      button("copy", "Copy path", () => this.copyPath(), { class: "soft" }),
      button("remove", "Remove", () => this.remove(info.id), { class: "soft" }),
    );
  }

  async copyPath() {
    await copyText(this.info.path);
    notice("Path copied.");
  }

  async remove(id) {
    if (!(await removePhotos([id]))) return;
    chooser.flip({ id }, false);
    this.close();
  }

  beginPart() {
    const { info } = this;
    let box = null;
    const search = button("search", "Search with this part", () => searchWith([ofCollection(info.id, { box })]), { class: "main", disabled: true });
    const boxed = new BoxedPhoto({ src: thumbnail(info.id, LARGE), width: info.width, height: info.height, name: info.name }, null, (chosen) => {
      box = chosen;
      search.disabled = box === null;
    });
    const middle = button("crop", "Put a box in the middle", () => boxed.begin(true), { class: "soft" });
    fill(
      this.part,
      make("div", { class: "part-photo" }, boxed.element),
      make("div", { class: "part-buttons" }, make("span", { class: "hint" }, "Draw a box around what you are looking for."), middle, search, button(null, "Back to the comparison", () => this.endPart(), { class: "soft" })),
    );
    boxed.onleave = () => middle.focus();
    boxed.element.classList.add("armed");
    this.part.hidden = false;
    this.dialog.classList.add("parting");
    middle.focus();
  }

  endPart() {
    this.part.hidden = true;
    this.dialog.classList.remove("parting");
    fill(this.part);
  }

  fail(sentence) {
    this.dialog.classList.remove("loading");
    this.title.textContent = "This cannot be shown";
    fill(this.facts, make("p", { class: "why" }, sentence));
  }

  placeButtons(id) {
    const place = this.hits().findIndex((hit) => hit.id === id);
    // A button that is disabled while it has the focus would take the keys with it.
    this.before.setAttribute("aria-disabled", String(place <= 0));
    this.after.setAttribute("aria-disabled", String(place < 0 || place >= this.hits().length - 1));
  }

  step(by) {
    const hits = this.hits();
    const place = hits.findIndex((hit) => hit.id === now().open) + by;
    if (hits[place]) go({ open: hits[place].id }, { replace: true });
  }

  key(event) {
    if (event.target.matches("input, .box") || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") this.step(-1);
    if (event.key === "ArrowRight") this.step(1);
  }

  close() {
    back({ open: null });
  }
}
