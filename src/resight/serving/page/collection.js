/** The collection's side: what is in it, what comes in, what could not be read, what belongs together. */

import { call } from "./api.js";
import { addByPath, addDropped, folderField } from "./adding.js";
import { nothing, write } from "./address.js";
import { button, bytes, count, fill, icon, make, nameOf } from "./dom.js";
import { ended, onJobs, say } from "./jobs.js";
import { pickButton } from "./pick.js";
import { picture } from "./results.js";
import { ofCollection } from "./state.js";

const SHOWN = 200;
const GROUPS = 60;
const BELONG = { copies: "Copies", things: "The same thing", scenes: "The same scene" };

/** Shows the collection. */
export class CollectionView {
  constructor() {
    this.element = document.getElementById("collection");
    this.numbers = make("section", { class: "panel numbers-panel", "aria-labelledby": "numbers-title" });
    // What runs stands first, where a telephone shows it, too.
    this.running = make("section", { class: "panel running", hidden: true, "aria-label": "Under way", "aria-live": "polite" });
    this.jobs = make("div", { class: "jobs" });
    this.folders = make("section", { class: "panel", "aria-labelledby": "folders-title" });
    this.problems = make("section", { class: "panel", "aria-labelledby": "problems-title" });
    this.groups = make("section", { class: "panel wide", "aria-labelledby": "groups-title" });
    this.adding = make(
      "section",
      { class: "panel", "aria-labelledby": "adding-title" },
      make("h2", { id: "adding-title" }, "Add photos"),
      make("p", { class: "hint" }, "Drop photos or folders anywhere on this page, or choose them. Files of a folder by path stay where they are; dropped ones are copied."),
      make("div", { class: "buttons" }, pickButton("Choose photos", "photo", addDropped, { class: "soft", multiple: true }), pickButton("Choose a folder", "folder", addDropped, { class: "soft", folder: true })),
      folderField(addByPath),
      this.jobs,
    );
    fill(this.element, make("h1", {}, "Collection"), this.running, make("div", { class: "panels" }, this.numbers, this.adding, this.folders, this.problems, this.groups));
    onJobs((jobs, version) => {
      this.showJobs(jobs);
      const isNew = version !== this.version;
      this.version = version;
      if (isNew && !this.element.hidden) this.load();
    });
  }

  async show(asked) {
    const isShown = asked.view === "collection";
    const was = !this.element.hidden;
    this.element.hidden = !isShown;
    if (!isShown) return;
    document.title = "Collection · Resight";
    if (!was) scrollTo({ top: 0 });
    if (this.loaded !== this.version || !this.loadedOnce) await this.load();
  }

  async load() {
    this.loaded = this.version;
    this.loadedOnce = true;
    try {
      const [facts, problems, copies, things] = await Promise.all([call("/collection"), call("/problems"), call("/groups"), call("/groups?of=things")]);
      this.showNumbers(facts);
      this.showFolders(facts);
      this.showProblems(problems);
      this.showGroups({ ...things, groups: [...copies.groups, ...things.groups], isEmpty: facts.photos === 0 });
    } catch (error) {
      this.loadedOnce = false;
      say(error);
    }
  }

  showNumbers(facts) {
    const changed = facts.changed ? new Date(facts.changed) : null;
    const rows = [
      ["Model", facts.model],
      ["Geometry", facts.verifies ? "checks answers point by point" : "this model has no local features"],
      ["Likelihood", facts.calibrated ? "calibrated" : "not calibrated: “resight calibrate” does it"],
      ["Last change", changed ? make("time", { datetime: facts.changed }, changed.toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })) : "none"],
      ["On disk", bytes(facts.bytes_on_disk)],
      ["Kept at", facts.path],
    ];
    fill(
      this.numbers,
      make("h2", { id: "numbers-title" }, make("span", { class: "large" }, facts.photos.toLocaleString("en")), ` ${facts.photos === 1 ? "photo" : "photos"}`),
      make("dl", { class: "rows" }, rows.map(([term, value]) => make("div", {}, make("dt", {}, term), make("dd", {}, value)))),
      facts.notes.map((note) => make("p", { class: "note" }, note)),
    );
  }

  showFolders(facts) {
    const folder = (each) => {
      const says = [count(each.photos, "file"), each.missing && `${each.missing.toLocaleString("en")} not there`, !each.exists && "the folder is not there"].filter(Boolean).join(" · ");
      const action = each.watched
        ? button("eye", "Stop watching", () => this.watch(each.path, false), { class: "soft" })
        : button("eye", "Watch", () => this.watch(each.path, true), { class: "soft" });
      return make("li", {}, icon("folder"), make("div", {}, make("p", { class: "path" }, each.path), make("p", { class: "hint" }, says)), each.exists && action);
    };
    fill(
      this.folders,
      make("h2", { id: "folders-title" }, "Folders"),
      facts.folders.length ? make("ul", { class: "folders" }, facts.folders.map(folder)) : make("p", { class: "hint" }, "No folder yet."),
    );
  }

  async group() {
    try {
      const job = await call("/groups", { method: "POST" });
      await ended(job.id);
      await this.load();
    } catch (error) {
      say(error);
    }
  }

  async watch(path, isWatched) {
    try {
      if (isWatched) await call("/watches", { method: "POST", json: { path } });
      else await call(`/watches?path=${encodeURIComponent(path)}`, { method: "DELETE" });
      await this.load();
    } catch (error) {
      say(error);
    }
  }

  showProblems({ broken, passed_over: passed, left_out: left, notes }) {
    const others = [
      ...Object.entries(passed).map(([suffix, number]) => `${count(number, "file")} ${suffix || "without a suffix"}`),
      ...Object.entries(left).map(([pattern, number]) => `${number.toLocaleString("en")} left out by ${pattern}`),
    ];
    const list = broken.slice(0, SHOWN).map(({ path, reason }) => make("li", {}, make("b", { title: path }, nameOf(path)), make("span", {}, reason)));
    fill(
      this.problems,
      make("h2", { id: "problems-title" }, "Not searched"),
      !broken.length && !others.length && !notes.length && make("p", { class: "hint" }, "Every file could be read."),
      list.length > 0 && make("ul", { class: "broken", tabindex: "0", "aria-label": "Broken files" }, list),
      broken.length > SHOWN && make("p", { class: "hint" }, `and ${count(broken.length - SHOWN, "more file")}.`),
      others.length > 0 && make("p", { class: "hint" }, `No photos: ${others.join(", ")}.`),
    );
  }

  showGroups({ computed, groups, isEmpty }) {
    const linked = (id) => make("a", { href: write({ ...nothing(), photos: [ofCollection(id)] }), "aria-label": `Search with photo ${id}` }, picture(id, 128, true));
    const group = ({ kind, ids }) => make("li", {}, make("p", {}, make("b", {}, BELONG[kind] ?? kind), ` · ${count(ids.length, "photo")}`), make("div", { class: "group" }, ids.slice(0, 12).map(linked), ids.length > 12 && make("span", { class: "hint" }, `and ${ids.length - 12} more`)));
    fill(
      this.groups,
      make("h2", { id: "groups-title" }, "Groups"),
      !computed && make("p", { class: "hint" }, "Which photos are copies of one another, and which show the same thing, has not been looked for."),
      !computed && !isEmpty && make("div", { class: "buttons" }, button("search", "Look for groups", () => this.group(), { class: "soft" })),
      computed && !groups.length && make("p", { class: "hint" }, "No two photos belong together."),
      groups.length > 0 && make("ul", { class: "groups" }, groups.slice(0, GROUPS).map(group)),
      groups.length > GROUPS && make("p", { class: "hint" }, `and ${count(groups.length - GROUPS, "more group")}.`),
    );
  }

  showJobs(jobs) {
    const open = jobs.filter(({ state }) => state === "waiting" || state === "running");
    const ended = jobs.filter((job) => !open.includes(job)).slice(0, 3);
    this.running.hidden = open.length === 0;
    fill(this.running, [...open].reverse().map(running));
    fill(this.jobs, ended.map(past));
  }
}

const KINDS = { add: "Adding", remove: "Removing", undo: "Bringing back", group: "Comparing" };

/** Returns the progress of a job. */
export function running({ kind, what, done, total, state }) {
  const says = state === "waiting" ? "waits" : total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : "looking for photos";
  return make(
    "div",
    { class: "job" },
    make("p", {}, make("b", {}, KINDS[kind]), ` ${what}`, make("span", {}, says)),
    make("progress", { max: total || 1, value: total ? done : null, "aria-label": `${KINDS[kind]} ${what}` }),
  );
}

function past({ kind, what, state, error, added, updated, unchanged, removed, broken }) {
  const parts = [added && `${added.toLocaleString("en")} added`, updated && `${updated.toLocaleString("en")} updated`, removed && `${removed.toLocaleString("en")} removed`, unchanged && `${unchanged.toLocaleString("en")} as they were`, broken.length && `${broken.length} broken`].filter(Boolean);
  return make("div", { class: state === "failed" ? "job bad" : "job past" }, make("p", {}, make("b", {}, { add: "Added", remove: "Removed", undo: "Brought back", group: "Compared" }[kind]), ` ${what}`, make("span", {}, error ?? parts.join(", "))));
}
